//! `Series`: the handles of one target and route, made once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use metrics::{Counter, Histogram, counter, histogram};

use super::{ATTACH_WAIT, CALL, CALLS, CONVERSION, QUEUE_WAIT, RUN};
use crate::ended::{CallEnded, Ending, Times};

/// Routes are patterns of routers, which are written by the host; should they be made up per request all the same, those
/// beyond this number count as no route.
const MOST_ROUTES: usize = 1000;

/// The series of one target, by route.
pub(crate) struct TargetSeries {
    target: String,
    /// For calls without a route.
    bare: Arc<Series>,
    routes: RwLock<HashMap<Box<str>, Arc<Series>>>,
}

impl TargetSeries {
    pub(crate) fn new(target: &str) -> Self {
        let bare = Arc::new(Series::new(target, ""));
        Self {
            target: target.to_owned(),
            bare,
            routes: RwLock::default(),
        }
    }

    /// Those of a route; made where it is new.
    pub(crate) fn of(&self, route: Option<&str>) -> Arc<Series> {
        let Some(route) = route else {
            return Arc::clone(&self.bare);
        };
        if let Some(series) = self
            .routes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(route)
        {
            return Arc::clone(series);
        }
        // Before the lock: it is the recorder's code. Who comes second finds the same handles behind his.
        let series = Arc::new(Series::new(&self.target, route));
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        if routes.len() >= MOST_ROUTES {
            return Arc::clone(&self.bare);
        }
        Arc::clone(routes.entry(route.into()).or_insert(series))
    }
}

impl fmt::Debug for TargetSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetSeries")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// The handles of one target and route.
#[derive(Debug)]
pub(crate) struct Series {
    queue: Histogram,
    attach: Histogram,
    conversion: Histogram,
    run: Histogram,
    call: Histogram,
    endings: [Counter; Ending::ALL.len()],
}

impl Series {
    fn new(target: &str, route: &str) -> Self {
        let seconds = |name: &'static str| histogram!(name, "target" => target.to_owned(), "route" => route.to_owned());
        let endings = Ending::ALL.map(|ending| {
            let labels = [
                ("target", target.to_owned()),
                ("route", route.to_owned()),
                ("outcome", ending.name().to_owned()),
            ];
            counter!(CALLS, &labels)
        });
        Self {
            queue: seconds(QUEUE_WAIT),
            attach: seconds(ATTACH_WAIT),
            conversion: seconds(CONVERSION),
            run: seconds(RUN),
            call: seconds(CALL),
            endings,
        }
    }

    /// Records the end of a call.
    pub(crate) fn record(&self, ended: &CallEnded<'_>) {
        self.endings[ended.ending() as usize].increment(1);
        let Some(Times { parts, total }) = ended.times else {
            return;
        };
        self.queue.record(parts.queue);
        self.call.record(total);
        if let Some(convert) = parts.convert {
            self.attach.record(parts.attach);
            self.conversion.record(convert);
        }
        if let Some(run) = parts.run {
            self.run.record(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics::with_local_recorder;
    use metrics_util::debugging::DebuggingRecorder;

    use super::*;

    #[test]
    fn a_flood_of_routes_makes_no_more_series_than_are_allowed() {
        let recorder = DebuggingRecorder::new();
        with_local_recorder(&recorder, || {
            let target = TargetSeries::new("w:h");
            for number in 0..MOST_ROUTES {
                target.of(Some(&format!("/{number}")));
            }
            assert!(Arc::ptr_eq(&target.of(Some("/one/more")), &target.bare));
            assert!(Arc::ptr_eq(&target.of(Some("/0")), &target.of(Some("/0"))));
        });
    }
}
