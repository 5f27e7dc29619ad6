use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder, Responses,
};
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
    let operations = document.paths.paths.values_mut().flat_map(|item| {
        [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
    });
    operations.for_each(|operation| add_problem(&mut operation.responses));
    let either = ["token", "identity"].map(|scheme| SecurityRequirement::new::<_, [String; 0], String>(scheme, []));
    document.security = Some(either.into());
    document
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

/// Any operation may fail, and always in the same form.
fn add_problem(responses: &mut Responses) {
    let schema = Ref::from_schema_name(Problem::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let problem = ResponseBuilder::new()
        .description("What went wrong; `code` says it to programs.")
        .content("application/problem+json", content)
        .build();
    responses.responses.insert("default".to_owned(), RefOr::T(problem));
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
