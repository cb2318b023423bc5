//! From checked routes to an axum router.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::MethodRouter;
use http::Request;
use tower::Service;

use super::Routes;

/// A router with every route leading to `service`. Methods are added one by one, so that the host's methods on the same path
/// stay free; axum itself answers the others with 405 and `HEAD` where `GET` is.
pub(crate) fn mount<S, T>(routes: &Routes, service: &T) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    T: Service<Request<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    T::Response: IntoResponse + 'static,
    T::Future: Send + 'static,
{
    let mut router = Router::new();
    for route in &routes.routes {
        let Some(filter) = route.filter() else { continue };
        for text in &route.pattern.texts {
            router = router.route(text, MethodRouter::new().on_service(filter, service.clone()));
        }
    }
    router
}

#[cfg(test)]
mod tests {
    use super::super::RouteMap;
    use super::*;
    use axum::extract::MatchedPath;
    use axum::response::Response;
    use axum::routing::post;
    use http::{Method, StatusCode, header::ALLOW};
    use tower::{ServiceExt, service_fn};

    /// Answers with the matched path.
    fn router(map: &str) -> Router {
        let map: RouteMap = serde_json::from_str(map).unwrap();
        let service = service_fn(|request: Request<Body>| async move {
            let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
            Ok::<_, Infallible>(matched.into_response_text())
        });
        mount(&Routes::read(&map).unwrap(), &service)
    }

    trait Text {
        fn into_response_text(self) -> Response;
    }

    impl Text for Option<String> {
        fn into_response_text(self) -> Response {
            let mut response = Response::new(Body::empty());
            response.extensions_mut().insert(self.unwrap_or_default());
            response
        }
    }

    async fn ask(router: &Router, method: Method, path: &str) -> Response {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn literal_parts_match_however_the_client_spells_them() {
        let router = router(r#"{"/café/:id": ["GET"]}"#);
        for path in ["/caf%C3%A9/1", "/caf%c3%a9/1", "/café/1"] {
            assert_eq!(ask(&router, Method::GET, path).await.status(), StatusCode::OK, "{path}");
        }
        assert_eq!(ask(&router, Method::GET, "/cafe/1").await.status(), StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn head_comes_with_get_and_other_methods_get_405_with_allow() {
        let router = router(r#"{"/a": ["GET", "PUT"]}"#);
        assert_eq!(ask(&router, Method::HEAD, "/a").await.status(), StatusCode::OK);
        for method in [Method::POST, Method::CONNECT, Method::from_bytes(b"PURGE").unwrap()] {
            let refused = ask(&router, method, "/a").await;
            assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
            let allow = refused.headers()[ALLOW].to_str().unwrap();
            assert!(allow.contains("GET") && allow.contains("HEAD") && allow.contains("PUT"), "{allow}");
        }
    }

    #[tokio::test]
    async fn a_native_method_shares_the_path() {
        let router =
            router(r#"{"/a/:id": ["GET"]}"#).merge(Router::new().route("/a/{id}", post(|| async { "native" })));
        let python = ask(&router, Method::GET, "/a/1").await;
        assert_eq!(python.extensions().get::<String>().map(String::as_str), Some("/a/{id}"));
        assert_eq!(ask(&router, Method::POST, "/a/1").await.extensions().get::<String>(), None);
    }
}
