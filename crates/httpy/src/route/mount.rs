//! `mount`: checked routes as an axum router whose every route is one service.

use super::check::Routes;
use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::MethodRouter;
use http::Request;
use std::convert::Infallible;
use tower::Service;

/// An axum router with `service` on every method of every route.
///
/// The methods are added one by one, so that merging it with native routes leaves room for their methods on the same
/// path. `HEAD` comes with `GET`; any other method is answered by axum: 405 with `Allow`.
pub(crate) fn mount<S, T>(routes: &Routes, service: &T) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    T: Service<Request<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    T::Response: IntoResponse + 'static,
    T::Future: Send + 'static,
{
    let mut router = Router::new();
    for route in routes.iter() {
        let mut methods = MethodRouter::new();
        for filter in route.methods.filters() {
            methods = methods.on_service(filter, service.clone());
        }
        for path in &route.paths {
            router = router.route(path, methods.clone());
        }
    }
    router
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Match, RouteMap, captures};
    use axum::extract::{MatchedPath, OriginalUri};
    use axum::routing::{get, post};
    use http::{Method, Response, StatusCode, header};
    use http_body_util::BodyExt;
    use httpy_core::Fields;
    use proptest::prelude::*;
    use tower::{ServiceExt, service_fn};

    /// A stand-in for a Python handler: answers with its method and what the route captured.
    async fn echo(request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let mut params = Fields::new();
        let extensions = request.extensions();
        if let (Some(template), Some(uri)) = (
            extensions.get::<MatchedPath>(),
            extensions.get::<OriginalUri>(),
        ) {
            captures(template.as_str(), uri.path(), &mut params);
        }
        Ok(Response::new(Body::from(format!(
            "{} {params:?}",
            request.method()
        ))))
    }

    fn routes(entries: &[(&str, &str)]) -> Routes {
        let map: RouteMap = entries
            .iter()
            .map(|&(pattern, methods)| {
                (
                    pattern.to_owned(),
                    methods.split(' ').map(str::to_owned).collect(),
                )
            })
            .collect();
        Routes::read(&map).unwrap()
    }

    fn router(entries: &[(&str, &str)]) -> Router {
        mount(&routes(entries), &service_fn(echo))
    }

    async fn answer(app: &Router, method: &str, target: &str) -> (u16, String, String) {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .body(Body::empty())
            .unwrap();
        let Ok(response) = app.clone().oneshot(request).await;
        let allow = response
            .headers()
            .get(header::ALLOW)
            .map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (
            status,
            allow.unwrap_or_default(),
            String::from_utf8(body.to_vec()).unwrap(),
        )
    }

    async fn check(app: &Router, table: &[(&str, u16, &str)]) {
        for &(target, status, body) in table {
            assert_eq!(
                answer(app, "GET", target).await,
                (status, String::new(), body.to_owned()),
                "{target}"
            );
        }
    }

    #[tokio::test]
    async fn both_syntaxes_capture_decoded_bytes() {
        let app = router(&[
            ("/", "GET"),
            ("/hello/:target", "get"),
            ("/user_{name}/edit", "GET"),
            ("/files/*rest", "GET"),
        ]);
        let table = [
            ("/", 200, "GET []"),
            ("/hello/world?x=1", 200, r#"GET [("target", "world")]"#),
            ("/hello/a%2Fb", 200, r#"GET [("target", "a/b")]"#),
            ("/hello/%00", 200, r#"GET [("target", "\0")]"#),
            ("/hello/%FF", 200, "GET [(\"target\", \"\u{fffd}\")]"),
            ("/hello/caf%C3%A9", 200, r#"GET [("target", "café")]"#),
            ("/hello/", 404, ""),
            ("/hello/a/b", 404, ""),
            ("/user_ada/edit", 200, r#"GET [("name", "ada")]"#),
            ("/files/a/b%2F/", 200, r#"GET [("rest", "a/b//")]"#),
            ("/files/", 404, ""),
        ];
        check(&app, &table).await;
    }

    #[tokio::test]
    async fn a_literal_matches_raw_and_encoded_however_it_was_written() {
        for pattern in ["/café/:id", "/caf%C3%A9/{id}", "/caf%c3%a9/{id}"] {
            let app = router(&[(pattern, "GET")]);
            for target in ["/café/1", "/caf%C3%A9/1", "/caf%c3%a9/1"] {
                assert_eq!(
                    answer(&app, "GET", target).await.2,
                    r#"GET [("id", "1")]"#,
                    "{pattern} {target}"
                );
            }
            assert_eq!(answer(&app, "GET", "/cafe/1").await.0, 404);
        }
        let app = router(&[
            ("/a%2Fb", "GET"),
            ("/{{x}}/:id", "GET"),
            ("/two words", "GET"),
            ("/things%3Abatch", "GET"),
        ]);
        let table = [
            ("/a%2Fb", 200, "GET []"),
            ("/a%2fb", 200, "GET []"),
            ("/a/b", 404, ""),
            ("/{x}/1", 200, r#"GET [("id", "1")]"#),
            ("/%7Bx%7D/1", 200, r#"GET [("id", "1")]"#),
            ("/two%20words", 200, "GET []"),
            ("/things:batch", 200, "GET []"),
        ];
        check(&app, &table).await;
    }

    #[tokio::test]
    async fn nested_routers_keep_all_captures() {
        let python = || router(&[("/", "GET"), ("/café/:id", "GET"), ("/files/*rest", "GET")]);
        let nested = Router::new().nest("/{tenant}/api", python());
        let twice = Router::new().nest("/x", Router::new().nest("/{tenant}/api", python()));
        let as_service = Router::new().nest_service("/{tenant}/api", python());
        for (app, prefix) in [(&nested, ""), (&twice, "/x"), (&as_service, "")] {
            for (target, body) in [
                ("/t%2F/api", r#"GET [("tenant", "t/")]"#),
                (
                    "/t/api/caf%C3%A9/1",
                    r#"GET [("tenant", "t"), ("id", "1")]"#,
                ),
                (
                    "/t/api/files/a/b",
                    r#"GET [("tenant", "t"), ("rest", "a/b")]"#,
                ),
            ] {
                let target = format!("{prefix}{target}");
                assert_eq!(
                    answer(app, "GET", &target).await,
                    (200, String::new(), body.to_owned()),
                    "{target}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_native_and_a_python_method_share_a_path() {
        let native = Router::new()
            .route("/item/{id}", get(|| async { "native" }))
            .route("/other", post(|| async { "native" }));
        let app = native.merge(router(&[("/item/:id", "POST"), ("/other", "GET")]));
        assert_eq!(
            answer(&app, "GET", "/item/1").await,
            (200, String::new(), "native".to_owned())
        );
        assert_eq!(
            answer(&app, "POST", "/item/1").await,
            (200, String::new(), r#"POST [("id", "1")]"#.to_owned())
        );
        assert_eq!(
            answer(&app, "PUT", "/item/1").await,
            (405, "GET,HEAD,POST".to_owned(), String::new())
        );
        assert_eq!(answer(&app, "GET", "/other").await.2, "GET []");
        assert_eq!(answer(&app, "POST", "/other").await.2, "native");
    }

    #[tokio::test]
    async fn a_router_with_state_takes_python_routes() {
        let python: Router<u16> = mount(&routes(&[("/a", "GET")]), &service_fn(echo));
        let app = python.with_state(1);
        assert_eq!(answer(&app, "GET", "/a").await.2, "GET []");
    }

    #[tokio::test]
    async fn other_methods_get_405_with_the_same_allow_as_without_axum() {
        let methods = [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PURGE",
        ];
        for given in [
            "GET",
            "HEAD",
            "HEAD GET",
            "GET HEAD",
            "post get",
            "DELETE PATCH OPTIONS TRACE PUT",
            "PUT GET",
        ] {
            let routes = routes(&[("/a", given)]);
            let app: Router = mount(&routes, &service_fn(echo));
            let (mut allowed, mut refused) = (0, 0);
            for method in methods {
                let (status, allow, _) = answer(&app, method, "/a").await;
                match routes.find(&method.parse::<Method>().unwrap(), "/a") {
                    Match::Found { template } => {
                        assert_eq!(
                            (status, allow.as_str(), template),
                            (200, "", "/a"),
                            "{given} {method}"
                        );
                        allowed += 1;
                    }
                    Match::MethodNotAllowed { allow: expected } => {
                        assert_eq!(
                            (status, allow.as_bytes()),
                            (405, expected.as_bytes()),
                            "{given} {method}"
                        );
                        refused += 1;
                    }
                    Match::NotFound => panic!("{given} {method}"),
                }
            }
            assert!(
                allowed >= given.split(' ').count() && refused >= 2,
                "{given}"
            );
        }
    }

    #[tokio::test]
    async fn a_connect_request_has_no_path_and_no_route() {
        let app = router(&[("/", "GET"), ("/*rest", "GET")]);
        assert_eq!(answer(&app, "CONNECT", "/").await.0, 405);
        assert_eq!(
            answer(&app, "CONNECT", "example.com:443").await.0,
            StatusCode::NOT_FOUND.as_u16()
        );
    }

    /// Patterns made of the pieces that mean something to a parser, ours, axum's or the router's underneath.
    fn any_pattern() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "/", "/", "/", "/a", "/{a}", "/{b}", "/:a", "/:b", "/*a", "/{*a}", "/{*b}", "a", "b",
            "x_", "{", "}", "{{", "}}", "{{a}}", "{a}", ":", "*", ":a", "é", "è", "%C3%A9", "%c3",
            "%2F", "%3A", "%2A", "%7B", "%7D", "%FF", "%", "<a>", "?", "@", " ",
        ]);
        prop::collection::vec(pieces, 0..7).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    /// Paths made of the pieces that patterns are made of, as a client may spell them.
    fn any_path() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "/", "/", "/", "/a", "a", "b", "x_", "{", "}", "{a}", ":", ":a", "*", "é", "è",
            "%C3%A9", "%c3%a9", "%c3", "%2F", "%2f", "%3A", "%2A", "%7B", "%7d", "%FF", "%", "@",
            "%20",
        ]);
        prop::collection::vec(pieces, 0..7).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    fn any_methods() -> impl Strategy<Value = Vec<String>> {
        let names = [
            "GET", "get", "Head", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
        ];
        prop::collection::vec(
            prop::sample::select(names.map(str::to_owned).to_vec()),
            1..4,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_was_accepted_never_makes_axum_panic_and_matches_as_it_does_in_axum(
            entries in prop::collection::vec((any_pattern(), any_methods()), 1..12),
            path in any_path(),
            method in prop::sample::select(vec![Method::GET, Method::HEAD, Method::POST, Method::OPTIONS]),
        ) {
            // One by one, so that a map with a bad entry still leaves something to try.
            let mut accepted = RouteMap::default();
            for entry in entries {
                let old = accepted.iter().map(|(pattern, methods)| (pattern.to_owned(), methods.to_vec()));
                let more: RouteMap = old.chain([entry]).collect();
                if Routes::read(&more).is_ok() {
                    accepted = more;
                }
            }
            let routes = Routes::read(&accepted).unwrap();
            let app: Router = mount(&routes, &service_fn(echo));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (status, allow, body) = runtime.block_on(answer(&app, method.as_str(), &path));
            match routes.find(&method, &path) {
                Match::Found { template } => {
                    let mut params = Fields::new();
                    captures(template, &path, &mut params);
                    prop_assert_eq!(status, 200);
                    // The answer to HEAD has no body.
                    prop_assert!(method == Method::HEAD || body == format!("{method} {params:?}"), "{}", body);
                }
                Match::MethodNotAllowed { allow: expected } => {
                    prop_assert_eq!((status, allow.as_bytes()), (405, expected.as_bytes()));
                }
                Match::NotFound => prop_assert_eq!(status, 404),
            }
        }
    }
}
