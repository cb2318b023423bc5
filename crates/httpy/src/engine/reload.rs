//! `reload()`: loads the code again while it serves, and what becomes of its routes then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use httpy_core::{InitRoutes, LoadError, Swapped};
use tokio::sync::oneshot;

use super::PyEngine;
use crate::error::Kind;
use crate::route::{Routes, Swap};
use crate::{Error, RouteMap};

/// The routes of an init function, whose code may be loaded again.
#[derive(Debug)]
pub(super) struct LiveRoutes {
    /// Those of the start.
    map: RouteMap,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What the init function returned the last time.
    map: RouteMap,
    /// Read once for all fallback services, when the first is made.
    matched: Option<Arc<Swap>>,
    /// Some of them are routes of a router that does not change any more.
    fixed: bool,
}

impl LiveRoutes {
    pub(super) fn new(map: RouteMap) -> Self {
        let state = State {
            map: map.clone(),
            matched: None,
            fixed: false,
        };
        Self {
            map,
            state: Mutex::new(state),
        }
    }

    /// The routes of the start.
    pub(super) fn map(&self) -> &RouteMap {
        &self.map
    }

    /// From now on they must stay as they are.
    #[cfg(feature = "axum")]
    pub(super) fn fix(&self) {
        self.lock().fixed = true;
    }

    /// For a service that matches them itself.
    pub(super) fn matched(&self) -> Result<Arc<Swap>, Error> {
        let mut state = self.lock();
        if let Some(matched) = &state.matched {
            return Ok(Arc::clone(matched));
        }
        let matched = Arc::new(Swap::from_pointee(Routes::read(&state.map)?));
        state.matched = Some(Arc::clone(&matched));
        Ok(matched)
    }

    /// Reads what the init function of the new code has returned; the error says why it cannot take over.
    fn read(&self, map: &RouteMap) -> Result<Routes, String> {
        let state = self.lock();
        if state.fixed && state.map != *map {
            return Err(format!(
                "the init function returned other routes than those that router() has mounted, and a router does not change: {}; \
                 mount fallback() instead of router(), or restart the process",
                difference(&state.map, map)
            ));
        }
        drop(state);
        Routes::read(map).map_err(|error| error.to_string())
    }

    /// From now on these are the routes; `routes` were read from `map`.
    fn take_over(&self, map: RouteMap, routes: Routes) {
        let mut state = self.lock();
        if let Some(matched) = &state.matched {
            matched.store(Arc::new(routes));
        }
        state.map = map;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is in one map and not as such in the other.
fn difference(before: &RouteMap, after: &RouteMap) -> String {
    let show = |sign: char, map: &RouteMap, other: &RouteMap| {
        let differs = |pattern: &str, methods: &[String]| {
            !other.iter().any(|entry| entry == (pattern, methods))
        };
        let entries = map
            .iter()
            .filter(|(pattern, methods)| differs(pattern, methods));
        entries
            .map(|(pattern, methods)| format!("{sign}{pattern} [{}]", methods.join(", ")))
            .collect::<Vec<_>>()
    };
    let all: Vec<String> = show('-', before, after)
        .into_iter()
        .chain(show('+', after, before))
        .collect();
    if all.is_empty() {
        "in another order".to_owned()
    } else {
        all.join(", ")
    }
}

impl PyEngine {
    /// Loads the code again, as it is on disk now, while the engine serves.
    ///
    /// As many new workers start and import the code, and one of them runs the init functions. When all are ready, they take
    /// over. The old ones finish the calls that they have; no request is lost.
    ///
    /// Routes that an init function adds, changes or leaves out count from then on where they are mounted by
    /// [`fallback`](crate::PyRoutes::fallback); [`PyRoutes::map`](crate::PyRoutes::map) stays what it was at the start. Of
    /// several reloads at once each sees the code as it was at its own call or later.
    ///
    /// # Errors
    ///
    /// When the new code does not import or an init function fails, as at the start; and [`is_reload`](Error::is_reload) when
    /// its routes are not those that [`router`](crate::PyRoutes::router) has mounted, and with [`Executor::threads()`]: an
    /// interpreter cannot forget what it has imported. In each case the old code keeps serving.
    ///
    /// # Cancellation
    ///
    /// The reload continues if the future is dropped.
    ///
    /// [`Executor::threads()`]: crate::Executor::threads
    pub async fn reload(&self) -> Result<(), Error> {
        let gone = |_| {
            Err(Error::new(
                Kind::Reload,
                "the engine ended before its code was loaded again",
            ))
        };
        self.begin_reload()
            .await
            .map_or_else(gone, |done| done.map_err(Error::not_loaded))
    }

    /// The receiver hears when it is done, and nothing when the engine ends before that.
    pub(super) fn begin_reload(&self) -> oneshot::Receiver<Result<(), LoadError>> {
        let live = self.inner.loaded().live.clone();
        let mut inits: Vec<String> = Vec::new();
        for (init, _) in &live {
            if !inits.contains(init) {
                inits.push(init.clone());
            }
        }
        let shared = Arc::clone(&self.inner.shared);
        let accept = move |maps: Vec<InitRoutes>| {
            let of = |init: &String| maps.iter().find(|(name, _)| name == init);
            let mut read = Vec::new();
            for (init, live) in &live {
                if let Some((_, routes)) = of(init) {
                    let map = RouteMap::new(routes.clone());
                    let routes = live.read(&map)?;
                    read.push((live, map, routes));
                }
            }
            // All of them or none.
            for (live, map, routes) in read {
                live.take_over(map, routes);
            }
            // Not before: a client that comes again at once gets the new code.
            let swapped: Swapped = Box::new(move || shared.gate.renew());
            Ok(swapped)
        };
        self.inner.shared.executor.reload(inits, Box::new(accept))
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::route::Match;

    fn map(entries: &[(&str, &str)]) -> RouteMap {
        entries
            .iter()
            .map(|(pattern, method)| ((*pattern).to_owned(), vec![(*method).to_owned()]))
            .collect()
    }

    fn reload(live: &LiveRoutes, map: RouteMap) -> Result<(), String> {
        let routes = live.read(&map)?;
        live.take_over(map, routes);
        Ok(())
    }

    fn finds(swap: &Swap, path: &str) -> bool {
        matches!(swap.load().find(&Method::GET, path), Match::Found { .. })
    }

    #[test]
    fn routes_that_are_matched_here_follow_the_code() {
        let live = LiveRoutes::new(map(&[("/old", "GET")]));
        let matched = live.matched().unwrap();
        reload(&live, map(&[("/new", "GET")])).unwrap();
        assert!(finds(&matched, "/new") && !finds(&matched, "/old"));
        assert!(
            finds(&live.matched().unwrap(), "/new"),
            "later ones see the same"
        );
    }

    #[test]
    fn routes_that_are_mounted_stay_and_the_error_says_which_would_not() {
        let live = LiveRoutes::new(map(&[("/same", "GET"), ("/old", "GET"), ("/more", "GET")]));
        live.fix();
        reload(
            &live,
            map(&[("/same", "GET"), ("/old", "GET"), ("/more", "GET")]),
        )
        .unwrap();
        let error = reload(
            &live,
            map(&[("/same", "GET"), ("/more", "POST"), ("/new", "PUT")]),
        )
        .unwrap_err();
        assert!(
            error.contains("-/old [GET], -/more [GET], +/more [POST], +/new [PUT]"),
            "{error}"
        );
    }

    #[test]
    fn what_are_no_routes_is_refused() {
        let live = LiveRoutes::new(map(&[("/old", "GET")]));
        let matched = live.matched().unwrap();
        assert!(reload(&live, map(&[("no slash", "GET")])).is_err());
        assert!(finds(&matched, "/old"));
    }
}
