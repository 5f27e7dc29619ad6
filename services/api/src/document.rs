mod lists;
mod statuses;
mod tagged;

use std::collections::BTreeMap;

use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, Content, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, RefOr, Required, Schema};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::http::{Code, Problem};
use crate::routes;

/// The description of the API. Made from the code alone, without database or configuration.
pub fn openapi() -> OpenApi {
    let mut document = routes::all().into_openapi();
    let components = document.components.get_or_insert_with(Components::new);
    let mut schemas =
        vec![(Problem::name().into_owned(), Problem::schema()), (Code::name().into_owned(), Code::schema())];
    Problem::schemas(&mut schemas);
    components.schemas.extend(schemas);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("rmp_…").build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    let identity = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").description(Some(
        "A token of an identity provider that the tenant trusts. The tenant is named by its audience, \
         `rampart:<tenant id>`, or by the header `Rampart-Tenant`.",
    ));
    components.add_security_scheme("identity", SecurityScheme::Http(identity.build()));
    statuses::define(components);
    lists::name_rows(components);
    tagged::fold(components);
    for (path, item) in &mut document.paths.paths {
        let operations = [
            (HttpMethod::Get, &mut item.get),
            (HttpMethod::Put, &mut item.put),
            (HttpMethod::Post, &mut item.post),
            (HttpMethod::Patch, &mut item.patch),
            (HttpMethod::Delete, &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                statuses::state(&method, path, operation);
                if let Some(RefOr::T(body)) = &mut operation.request_body {
                    // No body says what an empty object says.
                    let must = body.content.values().any(|content| says_something(&components.schemas, content));
                    body.required = Some(if must { Required::True } else { Required::False });
                }
            }
        }
    }
    let either = ["token", "identity"].map(|scheme| SecurityRequirement::new::<_, [String; 0], String>(scheme, []));
    document.security = Some(either.into());
    document
}

/// Whether a body of this type is more than an object of which every field may be left out.
fn says_something(schemas: &BTreeMap<String, RefOr<Schema>>, content: &RefOr<Content>) -> bool {
    let RefOr::T(content) = content else { return true };
    let schema = match &content.schema {
        Some(RefOr::Ref(place)) => place.ref_location.rsplit('/').next().and_then(|name| schemas.get(name)),
        schema => schema.as_ref(),
    };
    let Some(RefOr::T(Schema::Object(object))) = schema else { return true };
    object.schema_type != SchemaType::Type(Type::Object) || !object.required.is_empty()
}

/// What the routes are added to.
pub(crate) fn base() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Rampart")
        .version("1")
        .description(Some(
            "Inventory and security posture of containers across clouds and clusters. Every list needs `limit` and \
             gives `next_cursor`; every error is `application/problem+json` with a code of a closed set.",
        ))
        .license(Some(utoipa::openapi::License::new("Apache-2.0")))
        .build();
    OpenApiBuilder::new().info(info).build()
}

/// Makes a repeated creating request take effect once.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a header that the body extractor reads")]
pub(crate) struct IdempotencyHeader {
    /// 1 to 128 visible ASCII characters; the answer to the first request with it is given again for a day.
    #[param(rename = "Idempotency-Key")]
    idempotency_key: Option<String>,
}

/// Guards an update against changes that the caller did not see.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a header that handlers read")]
pub(crate) struct IfMatchHeader {
    /// The `ETag` that the caller saw, or `*` for whatever is there.
    #[param(rename = "If-Match", example = "\"1\"")]
    if_match: String,
}

/// Waits for work to end.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a header that its extractor reads")]
pub(crate) struct PreferHeader {
    /// `wait=N` waits up to N seconds, at most 30, for the work to end; then the status is 200 instead of 202.
    #[param(rename = "Prefer", example = "wait=30")]
    prefer: Option<String>,
}
