//! Variants that are told apart by a field: each becomes a shape of its own name that has the field, and the set says which
//! field it is. Who generates clients from the document gets types with names, and no two things in one place.

use utoipa::openapi::schema::{Discriminator, Schema};
use utoipa::openapi::{Components, Ref, RefOr};

const SCHEMAS: &str = "#/components/schemas/";

/// A variant: the field, its word, and the shape.
struct Variant {
    field: String,
    word: String,
    shape: Shape,
}

enum Shape {
    /// A shape with a name, to which the field is to be added: unknown fields are refused there. The name belongs to this
    /// set alone.
    Named(String, RefOr<Schema>),
    /// One that stands in the set and has the field.
    Inside(RefOr<Schema>),
}

/// Gives every such set its field, and every variant its name.
pub(super) fn fold(components: &mut Components) {
    let names: Vec<String> = components.schemas.keys().cloned().collect();
    for name in names {
        let Some(RefOr::T(Schema::OneOf(mut set))) = components.schemas.get(&name).cloned() else { continue };
        let Some(variants) = set.items.iter().map(variant).collect::<Option<Vec<_>>>() else { continue };
        let Some(field) = variants.first().map(|first| first.field.clone()) else { continue };
        if variants.iter().any(|variant| variant.field != field) {
            continue;
        }
        let mut told = Discriminator::new(field.clone());
        for (Variant { word, shape, .. }, item) in variants.into_iter().zip(&mut set.items) {
            let own = match shape {
                Shape::Inside(schema) => {
                    let own = format!("{name}{}", pascal(&word));
                    components.schemas.insert(own.clone(), schema);
                    own
                }
                Shape::Named(own, tag) => {
                    if let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(&own) {
                        object.properties.insert(field.clone(), tag);
                        object.required.push(field.clone());
                    }
                    own
                }
            };
            let place = format!("{SCHEMAS}{own}");
            *item = RefOr::Ref(Ref::new(place.clone()));
            told.mapping.insert(word, place);
        }
        set.discriminator = Some(told);
        components.schemas.insert(name, RefOr::T(Schema::OneOf(set)));
    }
}

fn variant(item: &RefOr<Schema>) -> Option<Variant> {
    match item {
        RefOr::T(Schema::AllOf(both)) => {
            let [RefOr::Ref(reference), RefOr::T(tag @ Schema::Object(_))] = both.items.as_slice() else { return None };
            let (field, word, tag) = told_by(tag)?;
            let name = reference.ref_location.strip_prefix(SCHEMAS)?;
            Some(Variant { field, word, shape: Shape::Named(name.to_owned(), tag) })
        }
        RefOr::T(schema) => {
            let (field, word, _) = told_by(schema)?;
            Some(Variant { field, word, shape: Shape::Inside(item.clone()) })
        }
        RefOr::Ref(_) => None,
    }
}

/// The field of an object that can hold one word only, the word, and the field's shape.
fn told_by(schema: &Schema) -> Option<(String, String, RefOr<Schema>)> {
    let Schema::Object(object) = schema else { return None };
    object.properties.iter().find_map(|(field, tag)| {
        let RefOr::T(Schema::Object(words)) = tag else { return None };
        let word = words.enum_values.as_deref().filter(|words| words.len() == 1)?.first()?.as_str()?;
        Some((field.clone(), word.to_owned(), tag.clone()))
    })
}

/// `merge_patch` as `MergePatch`.
fn pascal(word: &str) -> String {
    let capital = |part: &str| {
        let mut letters = part.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    };
    word.split('_').map(capital).collect()
}
