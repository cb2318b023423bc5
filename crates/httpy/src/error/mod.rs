//! `Error`: everything that can go wrong, at the start and per call, as one opaque value.

mod kind;

use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use httpy_core::{ContractFailure, Exception, LoadError, LoadErrorKind, StartError, UploadFault};

pub(crate) use self::kind::Kind;

/// An error of the start or of one call.
///
/// `Display` prints one level, without Python's traceback. [`source`](std::error::Error::source) returns the cause, and
/// [`exception`](Self::exception) what Python raised. The `is_*` predicates tell the kinds apart. A clone is one reference count;
/// the response that the error became has one in its extensions.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use http::Request;
/// use httpy::Error;
/// use tower::ServiceExt;
///
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// let error = engine.handler("shop:fial").unwrap_err();
/// assert!(error.is_attribute_not_found());
///
/// let response = engine.handler("shop:fail")?.oneshot(Request::get("/").body(String::new())?).await?;
/// assert_eq!(response.status(), 500);
/// let error: &Error = response.extensions().get().ok_or("no error")?;
/// assert!(error.is_exception());
/// assert_eq!(error.exception().map(|exception| exception.type_name()), Some("ValueError"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: Kind,
    message: String,
    source: Option<Source>,
}

enum Source {
    Exception(Exception),
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            source: None,
        }))
    }

    pub(crate) fn with_source(
        kind: Kind,
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            source: Some(Source::Other(source.into())),
        }))
    }

    // No `From` for these two: it would make types of httpy-core part of the public interface.
    pub(crate) fn not_started(error: &StartError) -> Self {
        let kind = match error {
            StartError::Load(error) => return Self::not_loaded(error.clone()),
            StartError::Venv { .. } => Kind::Venv,
            StartError::Differs { .. } => Kind::Differs,
            StartError::ShutDown => Kind::ShutDown,
            _ => Kind::Interpreter,
        };
        Self::new(kind, chain(error))
    }

    pub(crate) fn not_loaded(error: LoadError) -> Self {
        let source = error.exception.map(Source::Exception);
        Self(Arc::new(Inner {
            kind: Kind::Load(error.kind),
            message: error.message,
            source,
        }))
    }

    pub(crate) fn raised(target: &str, exception: Exception) -> Self {
        let message = format!("{target} raised {exception}");
        Self(Arc::new(Inner {
            kind: Kind::Exception,
            message,
            source: Some(Source::Exception(exception)),
        }))
    }

    pub(crate) fn contract(target: &str, failure: &ContractFailure) -> Self {
        Self::new(
            Kind::Contract(failure.rule()),
            format!("{target} {} {failure}", failure.verb()),
        )
    }

    pub(crate) fn panicked(target: &str, text: &str) -> Self {
        Self::new(
            Kind::Internal,
            format!("httpy panicked while it called {target}: {text}"),
        )
    }

    pub(crate) fn worker_died(target: &str, text: &str) -> Self {
        Self::new(Kind::WorkerDied, format!("{target} did not answer: {text}"))
    }

    /// What a handler that read its body as a stream left unanswered.
    pub(crate) fn upload(fault: UploadFault) -> Self {
        let kind = match StatusCode::from_u16(fault.status) {
            Ok(StatusCode::PAYLOAD_TOO_LARGE) => Kind::BodyTooLarge,
            Ok(StatusCode::REQUEST_TIMEOUT) => Kind::BodyTimeout,
            _ => Kind::BodyBroken,
        };
        Self::new(kind, fault.text)
    }

    /// Routes of Python that conflict with the host's, each with axum's message; or axum's message about all of them, if each
    /// one alone would be accepted.
    #[cfg(feature = "axum")]
    pub(crate) fn routes_of_host(conflicts: &[(&str, String)], all: &str) -> Self {
        let mut text = String::from("routes of Python conflict with those of the host");
        if conflicts.is_empty() {
            text = format!("{text}: {all}");
        }
        for (pattern, problem) in conflicts {
            text = format!("{text}\n{pattern:?}: {problem}");
        }
        text.push_str(
            "\nleave them out (RouteMap::retain, router_for), or mount fallback() behind the host's",
        );
        Self::new(Kind::Routes, text)
    }

    pub(crate) fn shutting_down() -> Self {
        Self::new(Kind::ShuttingDown, "the engine is shutting down")
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.0.kind
    }

    fn is_load(&self, kind: LoadErrorKind) -> bool {
        self.0.kind == Kind::Load(kind)
    }

    /// What Python raised, with its traceback, where an exception is behind this.
    pub fn exception(&self) -> Option<&Exception> {
        match &self.0.source {
            Some(Source::Exception(exception)) => Some(exception),
            _ => None,
        }
    }
}

/// How a start fails.
impl Error {
    /// An option of the builder is out of its range, or two of them contradict each other.
    pub fn is_config(&self) -> bool {
        self.0.kind == Kind::Config
    }

    /// The virtual environment does not exist, or was made by another version of Python than the linked one.
    pub fn is_venv(&self) -> bool {
        self.0.kind == Kind::Venv
    }

    /// CPython itself did not start, for example because its standard library is missing.
    pub fn is_interpreter(&self) -> bool {
        self.0.kind == Kind::Interpreter
    }

    /// Another engine of this process started Python with another value of a setting that all engines share.
    pub fn is_conflicting_options(&self) -> bool {
        self.0.kind == Kind::Differs
    }

    /// A target is not of the form `module:attribute`.
    pub fn is_target(&self) -> bool {
        self.is_load(LoadErrorKind::Target)
    }

    /// There is no such module on `sys.path`.
    pub fn is_module_not_found(&self) -> bool {
        self.is_load(LoadErrorKind::ModuleNotFound)
    }

    /// The module raised while it was imported; a module that *it* misses counts here.
    pub fn is_import(&self) -> bool {
        self.is_load(LoadErrorKind::Import)
    }

    /// The module has no such attribute.
    pub fn is_attribute_not_found(&self) -> bool {
        self.is_load(LoadErrorKind::AttributeNotFound)
    }

    /// A module of the same name was loaded from another file, by another engine or by Python itself.
    pub fn is_module_conflict(&self) -> bool {
        self.is_load(LoadErrorKind::ModuleConflict)
    }

    /// The target is not callable.
    pub fn is_not_callable(&self) -> bool {
        self.is_load(LoadErrorKind::NotCallable)
    }

    /// The handler cannot take six positional arguments, or the init or shutdown function takes any.
    pub fn is_signature(&self) -> bool {
        let kinds = [
            LoadErrorKind::Signature,
            LoadErrorKind::InitSignature,
            LoadErrorKind::ShutdownSignature,
        ];
        kinds.into_iter().any(|kind| self.is_load(kind))
    }

    /// The function is a generator function, async or not: one that streams returns its generator as the body.
    pub fn is_generator_handler(&self) -> bool {
        self.is_load(LoadErrorKind::GeneratorHandler)
    }

    /// The init function raised.
    pub fn is_init_exception(&self) -> bool {
        self.is_load(LoadErrorKind::InitException)
    }

    /// The init function returned something else than `{"route": ["METHOD"]}` or `None`.
    pub fn is_init_result(&self) -> bool {
        self.is_load(LoadErrorKind::InitResult)
    }

    /// The start-up of an application (ASGI's lifespan) has failed.
    pub fn is_startup(&self) -> bool {
        self.is_load(LoadErrorKind::Startup)
    }

    /// A [reload](crate::PyEngine::reload) cannot be: the new code has other routes than those that are mounted for good, the
    /// engine runs on threads of this process, or it has ended.
    pub fn is_reload(&self) -> bool {
        self.0.kind == Kind::Reload || self.is_load(LoadErrorKind::Reload)
    }

    /// Patterns or methods of a route map are wrong or conflict; the message lists all of them.
    pub fn is_routes(&self) -> bool {
        self.0.kind == Kind::Routes
    }
}

/// How a call fails.
impl Error {
    /// The handler raised: 500.
    pub fn is_exception(&self) -> bool {
        self.0.kind == Kind::Exception
    }

    /// The handler returned something that the contract does not allow: 500.
    pub fn is_contract(&self) -> bool {
        matches!(self.0.kind, Kind::Contract(_))
    }

    /// An extra of the host could not be serialised: 500.
    pub fn is_extra(&self) -> bool {
        self.0.kind == Kind::Extra
    }

    /// httpy itself failed: 500. Please report it.
    pub fn is_internal(&self) -> bool {
        matches!(
            self.0.kind,
            Kind::Internal | Kind::Load(LoadErrorKind::Internal)
        )
    }

    /// The worker process that ran the handler died, by a crash or a signal: 502. Of a streamed response whose head is out: its
    /// body breaks off. Never with handlers on threads, which share the fate of the process.
    pub fn is_worker_died(&self) -> bool {
        self.0.kind == Kind::WorkerDied
    }

    /// The client's body is over the limit: 413.
    pub fn is_body_too_large(&self) -> bool {
        self.0.kind == Kind::BodyTooLarge
    }

    /// The client's body broke off: 400.
    pub fn is_body_broken(&self) -> bool {
        self.0.kind == Kind::BodyBroken
    }

    /// The client took too long to send its body: 408.
    pub fn is_body_timeout(&self) -> bool {
        self.0.kind == Kind::BodyTimeout
    }

    /// The queue is full, a service's limit is reached, the bodies' budget is spent, or no worker took the call in time: 503,
    /// the handler never ran.
    pub fn is_overloaded(&self) -> bool {
        self.0.kind == Kind::Overloaded
    }

    /// The engine is shutting down: 503.
    pub fn is_shutting_down(&self) -> bool {
        matches!(self.0.kind, Kind::ShuttingDown | Kind::ShutDown)
    }

    /// The deadline passed while the handler ran: 504. Of a streamed response whose head is out: Python took too long for a
    /// chunk, and the body breaks off.
    pub fn is_deadline(&self) -> bool {
        self.0.kind == Kind::Deadline
    }

    /// The client of a streamed response took nothing for too long: its body breaks off.
    pub fn is_stalled(&self) -> bool {
        self.0.kind == Kind::Stalled
    }

    /// No route of [`fallback`](crate::PyRoutes::fallback) matches: 404.
    pub fn is_not_found(&self) -> bool {
        self.0.kind == Kind::NotFound
    }

    /// The method is not one of the route's, or is `CONNECT`: 405.
    pub fn is_method_not_allowed(&self) -> bool {
        matches!(self.0.kind, Kind::MethodNotAllowed(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    /// The message, and the traceback where there is one: what `main() -> Result<(), Error>` prints is meant to be read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        match &self.0.source {
            Some(Source::Exception(exception)) => {
                write!(f, "\n{}", exception.traceback().trim_end())
            }
            Some(Source::Other(source)) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.0.source.as_ref()? {
            Source::Exception(exception) => Some(exception),
            Source::Other(source) => Some(source.as_ref()),
        }
    }
}

/// An error of the start in one line with its causes: they are our own, and too short to be told apart.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_pointer_that_goes_anywhere() {
        fn goes_anywhere<T: Clone + Send + Sync + 'static>() {}
        goes_anywhere::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn display_is_one_level_and_the_exception_is_the_source() {
        let exception = Exception::new(
            "ValueError".into(),
            "boom".into(),
            "Traceback ...".into(),
            "worker.py:3".into(),
        );
        let error = Error::raised("worker:handle", exception.clone());
        assert_eq!(error.to_string(), "worker:handle raised ValueError: boom");
        assert_eq!(error.exception(), Some(&exception));
        assert!(std::error::Error::source(&error).is_some());
        assert!(error.is_exception() && !error.is_contract());
        assert_eq!(
            format!("{error:?}"),
            "worker:handle raised ValueError: boom\nTraceback ..."
        );
    }
}
