//! `LoadError`: why a target cannot be called.

use std::fmt;

use serde::Deserialize;

use crate::Exception;
use crate::frame::named;

/// Which way of loading failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LoadErrorKind {
    /// Not of the form `module:attribute`.
    Target,
    /// No such module.
    ModuleNotFound,
    /// Importing the module raised.
    Import,
    /// The module has no such attribute.
    AttributeNotFound,
    /// A module of that name was loaded from another file.
    ModuleConflict,
    /// Not callable.
    NotCallable,
    /// Cannot take six positional arguments.
    Signature,
    /// A generator function, async or not.
    GeneratorHandler,
    /// The init function takes arguments.
    InitSignature,
    /// The init function raised.
    InitException,
    /// The init function returned something else than routes.
    InitResult,
    /// The shutdown function takes arguments.
    ShutdownSignature,
    /// The start-up of an application (ASGI's lifespan) has failed.
    Startup,
    /// The code cannot be loaded anew, for a reason that is not in the code alone.
    Reload,
    /// Anything that is our own mistake or that app code did to the interpreter.
    #[serde(other)]
    Internal,
}

impl LoadErrorKind {
    /// The kind that `httpy_rs._load` calls so; [`Internal`](Self::Internal) where there is none of that name.
    pub fn named(name: &str) -> Self {
        named(name).unwrap_or(Self::Internal)
    }
}

/// Why a target could not be loaded.
#[derive(Clone, Debug, Deserialize)]
pub struct LoadError {
    /// Which way it was.
    pub kind: LoadErrorKind,
    /// One sentence.
    pub message: String,
    /// What Python raised, where it did.
    pub exception: Option<Exception>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.exception.as_ref().map(|exception| exception as _)
    }
}
