//! Lists of what has a name: the rows of each are of that name, not of a shape of their own.

use utoipa::openapi::schema::{ArrayItems, Schema};
use utoipa::openapi::{Components, Ref, RefOr};

const LIST: &str = "List_";

/// Lets every list refer to what its rows are.
pub(super) fn name_rows(components: &mut Components) {
    let names: Vec<String> = components.schemas.keys().filter(|name| name.starts_with(LIST)).cloned().collect();
    for name in names {
        let Some(RefOr::T(Schema::Object(list))) = components.schemas.get_mut(&name) else { continue };
        let Some(RefOr::T(Schema::Array(rows))) = list.properties.get_mut("items") else { continue };
        let ArrayItems::RefOrSchema(row) = &mut rows.items else { continue };
        if let RefOr::T(_) = **row {
            let own = name[LIST.len()..].to_owned();
            let shape = std::mem::replace(&mut **row, RefOr::Ref(Ref::from_schema_name(&own)));
            components.schemas.entry(own).or_insert(shape);
        }
    }
}
