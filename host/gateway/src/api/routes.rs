//! Routes, each defined together with the permission that it needs.
//!
//! [`Routes`] is the only way to a route, and takes no route without a [`Permission`]. The same call writes the
//! permission into `openapi.json` and into the table that [`super::guard`] looks it up in, so that the document, the
//! check and the route cannot differ. A test (`tests/it/access.rs`) finds a route that is added in another file.

use std::collections::HashMap;

use axum::Router;
use axum::http::Method;
use axum::routing::MethodRouter;
use netsage_api_types::Problem;
use utoipa::ToSchema as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, OpenApi, Ref, RefOr, Response};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::problem;
use super::state::AppState;

/// Where the documented routes are.
const PREFIX: &str = "/api/v1";

/// Name of the token in `openapi.json`.
const TOKEN: &str = "token";

/// What a caller needs for a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// None: the route changes nothing, and its answers are open to everybody who reaches the server.
    Open,
    /// The token, because the route changes something.
    Change,
    /// The token, because the route gives away packets, which hold what people sent.
    Packets,
}

impl Permission {
    /// Why the token is needed; `None` when it is not.
    pub(crate) fn reason(self) -> Option<&'static str> {
        match self {
            Self::Open => None,
            Self::Change => Some("this call changes something"),
            Self::Packets => Some("this call reads what people sent"),
        }
    }

    /// Adds to the description of an operation what the permission means to its callers.
    fn describe(self, operation: &mut Operation) {
        let needed = self.reason().map(|_| SecurityRequirement::new(TOKEN, [""; 0]));
        if needed.is_some() {
            let refusal = Response::new("The server has a token, and the call does not bear it");
            let responses = &mut operation.responses.responses;
            responses.insert("401".to_owned(), refusal.into());
        }
        operation.security = Some(needed.into_iter().collect());
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
    /// HEAD and OPTIONS need what GET does. A call that no route answers needs the token if its method could change
    /// something: who has none learns nothing about what there is.
    pub(crate) fn of(&self, method: &Method, route: Option<&str>) -> Permission {
        let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        let (method, undeclared) = if reads {
            (&Method::GET, Permission::Open)
        } else {
            (method, Permission::Change)
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

    /// Adds a route for GET that `openapi.json` does not describe.
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
        openapi
            .components
            .get_or_insert_with(Components::new)
            .add_security_scheme(TOKEN, SecurityScheme::Http(bearer));
        (router.merge(self.plain), openapi, self.permissions)
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
