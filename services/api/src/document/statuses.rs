//! Which problems an operation may answer with: the same for all that are called in the same way.

use axum::http::StatusCode;
use utoipa::ToSchema as _;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Components, ContentBuilder, HeaderBuilder, HttpMethod, Ref, RefOr, Response, ResponseBuilder};

use crate::http::Problem;

/// A status, the name of its response in the document, and when it is given.
type Stated = (StatusCode, &'static str, &'static str);

const ALL: [Stated; 14] = [
    (StatusCode::BAD_REQUEST, "BadRequest", "Query, header or body cannot be read."),
    (StatusCode::UNAUTHORIZED, "Unauthenticated", "No valid token."),
    (StatusCode::FORBIDDEN, "Forbidden", "The token's roles do not allow it."),
    (StatusCode::NOT_FOUND, "NotFound", "What is named is not there, or the token may not see it."),
    (StatusCode::CONFLICT, "Conflict", "What is there stands against it; `code` says why."),
    (StatusCode::GONE, "Gone", "The moment lies before what is kept."),
    (StatusCode::PRECONDITION_FAILED, "Changed", "It was changed since the version in `If-Match`."),
    (StatusCode::PAYLOAD_TOO_LARGE, "TooLarge", "The body is larger than the limit."),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", "The body is of another type."),
    (
        StatusCode::UNPROCESSABLE_ENTITY,
        "Invalid",
        "The body does not fit (`errors` names the fields), or the moment cannot be read yet.",
    ),
    (StatusCode::PRECONDITION_REQUIRED, "PreconditionRequired", "`If-Match` is missing."),
    (StatusCode::TOO_MANY_REQUESTS, "RateLimited", "Too many requests, or too much that waits to be taken up."),
    (StatusCode::INTERNAL_SERVER_ERROR, "Internal", "A fault of the server; its log has more under the request id."),
    (StatusCode::SERVICE_UNAVAILABLE, "Unavailable", "It took too long, or the server cannot answer now."),
];

/// Adds the responses that [`state`] refers to.
pub(super) fn define(components: &mut Components) {
    for (status, name, description) in ALL {
        components.responses.insert(name.to_owned(), RefOr::T(problem(status, description)));
    }
}

fn problem(status: StatusCode, description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
    let response = ResponseBuilder::new().description(description).content("application/problem+json", content);
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0.0)).build();
            let header = HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds to wait.")).build();
            response.header("Retry-After", header).build()
        }
        _ => response.build(),
    }
}

/// States the problems of an operation beside what it says itself, and what every answer means.
pub(super) fn state(method: &HttpMethod, path: &str, operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            meaning(status).clone_into(&mut response.description);
        }
    }
    for (status, name, _) in ALL {
        if may_answer(status, method, path, operation) {
            let response = RefOr::Ref(Ref::from_response_name(name));
            operation.responses.responses.entry(status.as_str().to_owned()).or_insert(response);
        }
    }
}

fn meaning(status: &str) -> &'static str {
    match status {
        "201" => "It was made; `Location` says where it is.",
        "202" => "It was asked for; `Location` says where to look for the outcome.",
        "204" => "It was done.",
        _ => "What was asked for.",
    }
}

fn may_answer(status: StatusCode, method: &HttpMethod, path: &str, operation: &Operation) -> bool {
    let takes = |place: &ParameterIn, name: Option<&str>| {
        let parameters = operation.parameters.iter().flatten();
        let mut stated = parameters.filter_map(|it| match it {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        });
        stated.any(|it| it.parameter_in == *place && name.is_none_or(|name| it.name == name))
    };
    let is_public = operation.security.as_ref().is_some_and(|needed| {
        needed.iter().all(|needed| *needed == utoipa::openapi::security::SecurityRequirement::default())
    });
    let writes = *method != HttpMethod::Get;
    let asks = takes(&ParameterIn::Query, None) || takes(&ParameterIn::Header, None);
    let of_a_moment = ["as_of", "from"].iter().any(|name| takes(&ParameterIn::Query, Some(name)));
    match status {
        StatusCode::GONE => of_a_moment,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => !is_public,
        StatusCode::BAD_REQUEST => writes || asks,
        StatusCode::NOT_FOUND => is_public || writes || asks || path.contains('{'),
        StatusCode::PRECONDITION_FAILED => {
            *method == HttpMethod::Delete || takes(&ParameterIn::Header, Some("If-Match"))
        }
        StatusCode::PRECONDITION_REQUIRED => takes(&ParameterIn::Header, Some("If-Match")),
        // What only an organisation has, or only a connector that is pushed to, is asked of others in vain.
        StatusCode::CONFLICT => writes || path.contains("{connector}/"),
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::UNPROCESSABLE_ENTITY => {
            let reads_a_moment = of_a_moment && status == StatusCode::UNPROCESSABLE_ENTITY;
            reads_a_moment || (writes && *method != HttpMethod::Delete)
        }
        _ => true,
    }
}
