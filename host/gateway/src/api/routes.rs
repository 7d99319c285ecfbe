//! Routes, each defined together with the permission that it needs.
//!
//! [`Routes`] is the only way to a route, and takes no route without a [`Permission`]. The same call writes the
//! permission into `openapi.json` and into the table that [`super::access`] looks it up in, so that the document, the
//! check and the route cannot differ. A test (`tests/it/access.rs`) finds a route that is added in another file.

use std::collections::HashMap;

use axum::Router;
use axum::http::Method;
use axum::routing::MethodRouter;
use netsage_api_types::Problem;
use utoipa::ToSchema as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Components, ContentBuilder, OpenApi, Ref, RefOr, Response};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::problem;
use super::state::AppState;

/// Where the documented routes are.
const PREFIX: &str = "/api/v1";

/// Names of the token and of a browser's session in `openapi.json`.
const TOKEN: &str = "token";
const SESSION: &str = "session";

/// What a caller needs for a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Nothing: files of the dashboard, and whether the server is well.
    Open,
    /// The token, once the server has one, or a session that a browser was given for it.
    Token,
}

impl Permission {
    /// Adds to the description of an operation the refusals that callers may get before the route sees a call.
    fn describe(self, operation: &mut Operation) {
        let mut refusals = vec![
            ("400", "The call is not valid; `detail` says why"),
            (
                "403",
                "The `Host` or `Origin` of the call is not that of this server",
            ),
            ("503", "What the call needs does not answer now; try again"),
        ];
        if self == Self::Token {
            refusals.extend([
                ("401", "The server has a token, and the call does not bear it"),
                (
                    "429",
                    "Wrong tokens came from this address; `retry-after` says for how long none is looked at",
                ),
            ]);
        }
        if let Some(RefOr::T(body)) = &operation.request_body {
            if body.content.contains_key("application/json") {
                refusals.push(("415", "The body is not called JSON by its `Content-Type`"));
            }
            refusals.extend([
                ("408", "The body did not come in time"),
                ("413", "The body is larger than this server takes"),
            ]);
        }
        for (status, description) in refusals {
            // What a route itself says of a status is more.
            let described = &mut operation.responses.responses;
            described
                .entry(status.to_owned())
                .or_insert_with(|| Response::new(description).into());
        }
        // The first of these is none at all: a server without a token.
        let ways = [&[][..], &[TOKEN], &[SESSION]].into_iter().map(|names: &[&str]| {
            let names = names.iter();
            names.fold(SecurityRequirement::default(), |needed, name| {
                needed.add(*name, [""; 0])
            })
        });
        let ways = ways.filter(|_| self == Self::Token);
        operation.security = Some(ways.collect());
    }
}

/// Gives each error of an operation the body that [`super::problem`] writes for all of them.
fn describe_errors(operation: &mut Operation) {
    let body = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .build();
    for (status, response) in &mut operation.responses.responses {
        if let (true, RefOr::T(response)) = (status.starts_with(['4', '5']), response) {
            response
                .content
                .insert(problem::MEDIA_TYPE.to_owned(), body.clone().into());
        }
    }
}

/// Which permission each route needs, by its path as it is routed and its method.
#[derive(Debug, Clone, Default)]
pub(crate) struct Permissions(HashMap<String, HashMap<Method, Permission>>);

impl Permissions {
    /// The permission for a call; `route` is the path of the route that it came to, if it came to one.
    ///
    /// HEAD and OPTIONS need what GET does. A call that no route answers needs the token unless it reads a file of the
    /// dashboard: who has none learns nothing about what there is.
    pub(crate) fn of(&self, method: &Method, route: Option<&str>, path: &str) -> Permission {
        let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        let method = if reads { &Method::GET } else { method };
        let undeclared = if reads && !is_of_the_api(path) {
            Permission::Open
        } else {
            Permission::Token
        };
        let declared = route.and_then(|route| self.0.get(route)?.get(method));
        declared.copied().unwrap_or(undeclared)
    }

    fn declare(&mut self, path: String, method: Method, permission: Permission) {
        self.0.entry(path).or_default().insert(method, permission);
    }
}

/// Routes under construction.
#[derive(Default)]
pub(super) struct Routes {
    documented: OpenApiRouter<AppState>,
    plain: Router<AppState>,
    permissions: Permissions,
}

impl Routes {
    /// Adds a route under `/api/v1` with its description; `route` comes from [`utoipa_axum::routes`].
    pub(super) fn with(mut self, permission: Permission, route: UtoipaMethodRouter<AppState>) -> Self {
        let (schemas, mut paths, handlers) = route;
        for (path, item) in &mut paths.paths {
            for (method, operation) in operations(item) {
                permission.describe(operation);
                describe_errors(operation);
                self.permissions
                    .declare(format!("{PREFIX}{path}"), method, permission);
            }
        }
        self.documented = self.documented.routes((schemas, paths, handlers));
        self
    }

    /// Adds a route for GET that `openapi.json` does not describe; where it takes another method too, a caller needs the token
    /// for that one.
    pub(super) fn with_plain(
        mut self,
        permission: Permission,
        path: &str,
        handler: MethodRouter<AppState>,
    ) -> Self {
        self.permissions.declare(path.to_owned(), Method::GET, permission);
        self.plain = self.plain.route(path, handler);
        self
    }

    /// The router, its description added to that of the whole, and the permissions of the routes.
    pub(super) fn finish(self, whole: OpenApi) -> (Router<AppState>, OpenApi, Permissions) {
        let (router, mut openapi) = OpenApiRouter::with_openapi(whole)
            .nest(PREFIX, self.documented)
            .split_for_parts();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let cookie = ApiKeyValue::with_description(
            "netsage-session-PORT",
            "Set by `POST /api/v1/session`, where a browser brings the token once",
        );
        let components = openapi.components.get_or_insert_with(Components::new);
        components.add_security_scheme(TOKEN, SecurityScheme::Http(bearer));
        components.add_security_scheme(SESSION, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        (router.merge(self.plain), openapi, self.permissions)
    }
}

/// Whether a path that no route answers is meant for the API, and not for the dashboard.
pub(super) fn is_of_the_api(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next();
    matches!(first, Some("api" | "prometheus"))
}

/// Says of each operation what a server with a token, or one without, asks for; the document of both leaves it open.
pub(super) fn settle_security(document: &mut OpenApi, has_token: bool) {
    for item in document.paths.paths.values_mut() {
        for (_, operation) in operations(item) {
            if let Some(ways) = &mut operation.security {
                ways.retain(|way| has_token && *way != SecurityRequirement::default());
            }
        }
    }
}

/// The operations of a path with their methods.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}
