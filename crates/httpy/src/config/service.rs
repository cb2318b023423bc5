//! `ServiceOptions`: the limits of one service as data; `ServiceConfig`: a service that a file names.

use std::time::Duration;

use httpy_core::{Interface, Kind};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use super::{LONGEST, MIB, read};

/// The limits of a service as data. What is left out is the default.
///
/// [`PyService`](crate::PyService) has a `with_*` method for each, where it is described.
///
/// ```
/// use httpy::ServiceOptions;
/// use std::time::Duration;
///
/// let options: ServiceOptions = serde_json::from_str(r#"{"deadline": "5s", "body_limit": 1000}"#).unwrap();
/// assert_eq!(options.deadline, Some(Duration::from_secs(5)));
/// assert_eq!(options.limit, None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table of a service's options"
)]
#[non_exhaustive]
pub struct ServiceOptions {
    /// Maximum time from the queue to the answer. Defaults to 30 s, and to 60 s for an ASGI or WSGI app.
    #[serde(with = "read::optional_duration")]
    pub deadline: Option<Duration>,
    /// Maximum time from the queue to the handler's start. Defaults to the deadline.
    #[serde(with = "read::optional_duration")]
    pub max_wait: Option<Duration>,
    /// Maximum size of a request's body, in bytes. Defaults to 2 MiB; an ASGI or WSGI app has no limit.
    #[serde(deserialize_with = "read::optional_number")]
    pub body_limit: Option<usize>,
    /// Maximum time in which a client sends its body. Defaults to 30 s.
    #[serde(with = "read::optional_duration")]
    pub body_timeout: Option<Duration>,
    /// Maximum time between two chunks of a streamed response. Defaults to 30 s; an ASGI or WSGI app has no limit.
    #[serde(with = "read::optional_duration")]
    pub chunk_timeout: Option<Duration>,
    /// Maximum time for which a streamed response goes on once its client has left. Defaults to 30 s.
    #[serde(with = "read::optional_duration")]
    pub abandon_after: Option<Duration>,
    /// Maximum number of calls that wait or run. Defaults to none.
    #[serde(deserialize_with = "read::optional_number")]
    pub limit: Option<usize>,
    /// Maximum number of calls that run at the same time. Defaults to none.
    #[serde(deserialize_with = "read::optional_number")]
    pub concurrency: Option<usize>,
}

/// A service that a [`Config`](crate::Config) names: its target and its options in one table.
///
/// ```
/// use httpy::ServiceConfig;
///
/// let shop: ServiceConfig =
///     serde_json::from_str(r#"{"handler": "shop:handle", "init": "shop:startup", "limit": 2}"#).unwrap();
/// assert_eq!(shop.handler, "shop:handle");
/// assert_eq!(shop.options.limit, Some(2));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ServiceConfig {
    /// The handler, `"module:attribute"`.
    pub handler: String,
    /// The init function, `"module:attribute"`. Its routes are matched by the service. Defaults to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// Its options.
    #[serde(flatten)]
    pub options: ServiceOptions,
}

impl<'de> Deserialize<'de> for ServiceConfig {
    // `deny_unknown_fields` and `flatten` do not go together.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Value::Object(mut table) = Value::deserialize(from)? else {
            return Err(de::Error::custom(
                "expected a table such as {\"handler\": \"shop:handle\"}",
            ));
        };
        let mut target = |name: &str| match table.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(target)) => Ok(Some(target)),
            Some(other) => Err(de::Error::custom(format!(
                "{name}: {other}, expected a target such as \"shop:handle\""
            ))),
        };
        let handler = target("handler")?;
        let init = target("init")?;
        Ok(Self {
            handler: handler.ok_or_else(|| de::Error::missing_field("handler"))?,
            init,
            options: ServiceOptions::deserialize(Value::Object(table))
                .map_err(de::Error::custom)?,
        })
    }
}

/// What the limits of a service default to.
#[derive(Debug)]
struct Defaults {
    deadline: Duration,
    body: usize,
    chunk_timeout: Duration,
}

/// What each other time of a service defaults to.
const DEFAULT: Duration = Duration::from_secs(30);

const HANDLER: Defaults = Defaults {
    deadline: DEFAULT,
    body: 2 * MIB,
    chunk_timeout: DEFAULT,
};

/// An application has limits of its own, and its streams are silent for as long as it likes.
const APP: Defaults = Defaults {
    deadline: Duration::from_secs(60),
    body: usize::MAX,
    chunk_timeout: LONGEST,
};

/// The limits of a service, each with its value.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) deadline: Duration,
    pub(crate) max_wait: Duration,
    pub(crate) body: usize,
    pub(crate) body_timeout: Duration,
    pub(crate) chunk_timeout: Duration,
    pub(crate) abandon_after: Duration,
}

impl ServiceOptions {
    /// All defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// These options, and those of `others` where these say nothing.
    pub(crate) fn or(self, others: &Self) -> Self {
        Self {
            deadline: self.deadline.or(others.deadline),
            max_wait: self.max_wait.or(others.max_wait),
            body_limit: self.body_limit.or(others.body_limit),
            body_timeout: self.body_timeout.or(others.body_timeout),
            chunk_timeout: self.chunk_timeout.or(others.chunk_timeout),
            abandon_after: self.abandon_after.or(others.abandon_after),
            limit: self.limit.or(others.limit),
            concurrency: self.concurrency.or(others.concurrency),
        }
    }

    /// The limits of a service of this interface.
    pub(crate) fn limits(&self, interface: Interface) -> Limits {
        self.limits_or(match interface.kind {
            Kind::Handler => &HANDLER,
            Kind::Asgi | Kind::Wsgi => &APP,
        })
    }

    fn limits_or(&self, defaults: &Defaults) -> Limits {
        let or = |time: Option<Duration>, default| time.unwrap_or(default).min(LONGEST);
        let deadline = or(self.deadline, defaults.deadline);
        Limits {
            deadline,
            max_wait: self.max_wait.unwrap_or(deadline).min(deadline),
            body: self.body_limit.unwrap_or(defaults.body),
            body_timeout: or(self.body_timeout, DEFAULT),
            chunk_timeout: or(self.chunk_timeout, defaults.chunk_timeout),
            abandon_after: or(self.abandon_after, DEFAULT),
        }
    }

    /// What is wrong with each option.
    pub(super) fn problems(&self, body_budget: usize) -> Vec<String> {
        let times = [
            ("deadline", self.deadline, "would refuse every call"),
            ("max_wait", self.max_wait, "would refuse every call"),
            ("body_timeout", self.body_timeout, "would refuse every body"),
            (
                "chunk_timeout",
                self.chunk_timeout,
                "would abort every stream",
            ),
            (
                "abandon_after",
                self.abandon_after,
                "would interrupt every stream whose client leaves",
            ),
        ];
        let times = times.into_iter().filter_map(|(option, time, zero)| {
            let time = time?;
            if time.is_zero() {
                Some(format!("{option}: 0 s {zero}"))
            } else if time > LONGEST {
                Some(format!("{option}: {time:?}, expected at most a year"))
            } else {
                None
            }
        });
        let Limits { deadline, body, .. } = self.limits_or(&HANDLER);
        let wait = self.max_wait.filter(|wait| *wait > deadline);
        let wait = wait
            .map(|wait| format!("max_wait: {wait:?} is longer than the deadline of {deadline:?}"));
        let body = (body > body_budget).then(|| {
            format!(
                "body_limit: {body} bytes are more than the {body_budget} of body_budget for all bodies together"
            )
        });
        times.chain(wait).chain(body).collect()
    }
}
