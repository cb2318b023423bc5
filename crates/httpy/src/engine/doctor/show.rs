//! A `Diagnosis` as a report for people: warnings last, where they are seen.

use std::fmt;

use serde_json::Value;

use super::{Diagnosis, InterpreterFacts, PathEntry, PathOrigin};

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.debug_build {
            "a debug build"
        } else {
            "a release build"
        };
        writeln!(f, "httpy {}, {kind}", self.httpy)?;
        writeln!(f, "\nPython")?;
        if let Some(library) = &self.library {
            line(f, "library", library.display())?;
        }
        match &self.venv {
            Some(venv) => line(f, "virtual environment", venv.display())?,
            None => line(f, "virtual environment", "none")?,
        }
        if let Some(facts) = &self.interpreter {
            python(f, facts)?;
            path(f, &facts.path)?;
        }
        writeln!(f, "\nProcess")?;
        if let Some(processors) = self.processors {
            line(f, "processors", processors)?;
        }
        if let Some(facts) = &self.interpreter {
            let limit = |limit: Option<u64>| {
                limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string())
            };
            line(f, "open files", limit(facts.open_files))?;
            line(f, "threads of the user", limit(facts.threads))?;
            for (name, value) in &facts.environment {
                line(f, name, value)?;
            }
        }
        writeln!(f, "\nOptions")?;
        options(f, self)?;
        if self.warnings.is_empty() {
            return write!(f, "\nNothing looks wrong.");
        }
        write!(f, "\nWarnings")?;
        self.warnings
            .iter()
            .try_for_each(|warning| write!(f, "\n  - {warning}"))
    }
}

fn python(f: &mut fmt::Formatter<'_>, facts: &InterpreterFacts) -> fmt::Result {
    line(f, "version", &facts.build)?;
    line(
        f,
        "executable",
        if facts.executable.is_empty() {
            "none"
        } else {
            &facts.executable
        },
    )?;
    line(f, "prefix", &facts.prefix)?;
    let guided = match facts.profile_guided {
        Some(true) => ", --enable-optimizations",
        Some(false) => ", without --enable-optimizations",
        None => "",
    };
    let debug = if facts.debug { ", a debug build" } else { "" };
    line(
        f,
        "compiled with",
        format_args!(
            "{}{guided}{debug}",
            facts.optimisation.as_deref().unwrap_or("unknown flags")
        ),
    )?;
    let threading = if facts.free_threaded {
        "a free-threaded build"
    } else {
        "a GIL-enabled build"
    };
    line(
        f,
        "GIL",
        format_args!("{}, {threading}", if facts.gil { "on" } else { "off" }),
    )?;
    let ready = match &facts.needs_gil {
        Some(modules) if modules.is_empty() => ", all ready for free-threading".to_owned(),
        Some(modules) => format!(", not ready for free-threading: {}", modules.join(", ")),
        None => String::new(),
    };
    line(
        f,
        "extension modules",
        format_args!("{} loaded{ready}", facts.extension_modules),
    )?;
    line(f, "TLS", facts.tls.as_deref().unwrap_or("none"))?;
    line(
        f,
        "uvloop",
        if facts.uvloop {
            "can be imported"
        } else {
            "not installed"
        },
    )?;
    if let Some(interval) = facts.switch_interval {
        line(
            f,
            "switch interval",
            format_args!("{:.3} ms", interval * 1000.0),
        )?;
    }
    if let Some(limit) = facts.recursion_limit {
        line(f, "recursion limit", limit)?;
    }
    facts.copies.iter().try_for_each(|copy| {
        line(
            f,
            "installed httpy_rs",
            format_args!("{} (version {})", copy.folder.display(), copy.version),
        )
    })
}

fn path(f: &mut fmt::Formatter<'_>, entries: &[PathEntry]) -> fmt::Result {
    writeln!(f, "\nsys.path")?;
    for PathEntry {
        dir,
        origin,
        file,
        exists,
    } in entries
    {
        let name = match origin {
            PathOrigin::Builder => "PyEngineBuilder::path",
            PathOrigin::Environment => "PYTHONPATH",
            PathOrigin::StandardLibrary => "standard library",
            PathOrigin::VirtualEnvironment => "virtual environment",
            PathOrigin::SitePackages => "site-packages",
            PathOrigin::UserSite => "user site",
            PathOrigin::PthFile => ".pth file",
            PathOrigin::Runtime => "added later",
        };
        let dir = if dir.is_empty() {
            "(the working directory)"
        } else {
            dir
        };
        let file = file
            .as_ref()
            .map_or_else(String::new, |file| format!(", named by {}", file.display()));
        let missing = if *exists { "" } else { " (does not exist)" };
        line(f, name, format_args!("{dir}{file}{missing}"))?;
    }
    Ok(())
}

fn options(f: &mut fmt::Formatter<'_>, diagnosis: &Diagnosis) -> fmt::Result {
    let Ok(options) = serde_json::to_value(&diagnosis.config) else {
        return Ok(());
    };
    option(f, "", options)?;
    line(f, "lost workers", diagnosis.workers.lost)
}

/// One option, or each in a table of them.
fn option(f: &mut fmt::Formatter<'_>, name: &str, value: Value) -> fmt::Result {
    match value {
        // What they hold may be secret.
        Value::Object(variables) if name == "env" => {
            let names: Vec<String> = variables.into_iter().map(|(name, _)| name).collect();
            line(f, name, names.join(", "))
        }
        Value::Object(options) => options.into_iter().try_for_each(|(inner, value)| {
            let name = [name, &inner].join(".");
            option(f, name.trim_start_matches('.'), value)
        }),
        Value::String(text) => line(f, name, text),
        Value::Null => line(f, name, "default"),
        value => line(f, name, value),
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(f, "  {name:<24} {value}")
}

#[cfg(test)]
mod tests {
    use super::super::tests::healthy;

    #[test]
    fn the_report_has_every_part_and_ends_with_the_warnings() {
        let mut diagnosis = healthy();
        let variable = ("TOKEN".to_owned(), "secret".to_owned());
        diagnosis.config.env.extend([variable]);
        let report = diagnosis.to_string();
        for part in [
            "httpy 1.2.3, a release build\n",
            "\n  library                  /usr/lib/libpython3.13.so\n",
            "\n  PyEngineBuilder::path    /srv/app\n",
            "\n  standard library         /usr/lib/python313.zip (does not exist)\n",
            "\n  grace                    10s\n",
            "\n  working_dir              default\n",
            "\n  env                      TOKEN\n",
            "\n  executor.threads.workers.max 96\n",
            "\n  lost workers             0\n",
        ] {
            assert!(report.contains(part), "{part:?} in\n{report}");
        }
        assert!(report.ends_with("\nNothing looks wrong."), "{report}");
        diagnosis.warnings = vec!["one".to_owned(), "two".to_owned()];
        assert!(
            diagnosis
                .to_string()
                .ends_with("\nWarnings\n  - one\n  - two")
        );
    }
}
