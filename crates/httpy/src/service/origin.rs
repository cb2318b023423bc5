//! `Origin`: where a request comes from, as the host knows it.

use std::net::SocketAddr;

use http::uri::Scheme;

/// Where a request comes from, as the host knows it: a request extension that wins over what is found.
///
/// Without it, `httpy_rs.request().client` is what axum's `ConnectInfo<SocketAddr>` says, and `scheme` is `http`. Nothing of
/// it is read from the request, as clients can write what they like into its target and its headers. A host that speaks
/// TLS, or knows a proxy that does, says so:
///
/// ```
/// use axum::{Extension, Router, body::Body, routing::get};
/// use http::{Request, uri::Scheme};
/// use httpy::Origin;
/// # use tower::ServiceExt;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
///
/// // Stands for the routes of a `PyEngine`.
/// let routes = Router::new().route("/", get(|Extension(origin): Extension<Origin>| async move {
///     assert_eq!(origin.scheme, Some(Scheme::HTTPS));
/// }));
/// let app = routes.layer(Extension(Origin::new().with_scheme(Scheme::HTTPS)));
/// # let request = Request::new(Body::empty());
/// # assert_eq!(app.oneshot(request).await.unwrap().status(), 200);
/// # });
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The client's address; `None` leaves what the server knows.
    pub client: Option<SocketAddr>,
    /// The scheme that the client used; `None` leaves `http`.
    pub scheme: Option<Scheme>,
}

impl Origin {
    /// An origin of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// This origin with the client's address.
    #[must_use]
    pub fn with_client(mut self, client: SocketAddr) -> Self {
        self.client = Some(client);
        self
    }

    /// This origin with the scheme that the client used.
    #[must_use]
    pub fn with_scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = Some(scheme);
        self
    }
}
