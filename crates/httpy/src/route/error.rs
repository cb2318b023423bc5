//! `RouteError`: everything that is wrong with a route map, said at once.

use std::fmt;

use crate::Error;
use crate::error::Kind;

/// All bad entries of a route map. Displays one line per problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteError {
    problems: Vec<String>,
}

impl RouteError {
    pub(super) fn new(problems: Vec<String>) -> Self {
        Self { problems }
    }

    /// One sentence per problem, in the order of the map, each with the pattern as Python wrote it.
    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems().join("\n"))
    }
}

impl std::error::Error for RouteError {}

impl From<RouteError> for Error {
    fn from(error: RouteError) -> Self {
        Self::new(Kind::Routes, error.to_string())
    }
}
