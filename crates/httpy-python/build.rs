//! Finds the shared library of the Python that PyO3 chose, links this crate's own tests to it, and passes its folder on.
//! Refuses a Python without one, and one that is not supported, with what to do about it. Says which version it is by
//! `cfg`, as PyO3 does.

use std::{env, path::PathBuf};

use pyo3_build_config::{InterpreterConfig, PythonImplementation, PythonVersion};

const OLDEST: PythonVersion = PythonVersion {
    major: 3,
    minor: 11,
};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    pyo3_build_config::use_pyo3_cfgs();
    let config = pyo3_build_config::get();
    let folders = folders(config);
    // docs.rs makes pages of the crate and links nothing, so any Python does.
    let links = env::var_os("DOCS_RS").is_none();
    if links && let Err(problem) = check(config, &folders) {
        println!("cargo::error={problem}");
        return;
    }
    for folder in &folders {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
    match env::join_paths(&folders) {
        Ok(folders) => println!("cargo::metadata=RPATH={}", folders.display()),
        Err(error) => println!("cargo::error=the folder of libpython cannot be passed on: {error}"),
    }
}

/// Where the loader shall look: the library's folder, and on macOS the framework's.
fn folders(config: &InterpreterConfig) -> Vec<PathBuf> {
    let framework = match env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("macos") => config.python_framework_prefix(),
        _ => None,
    };
    config
        .lib_dir()
        .into_iter()
        .chain(framework)
        .map(PathBuf::from)
        .collect()
}

fn check(config: &InterpreterConfig, folders: &[PathBuf]) -> Result<(), String> {
    let version = config.target_abi().version();
    let implementation = config.target_abi().implementation();
    let python = config.executable().unwrap_or("of PYO3_CONFIG_FILE");
    if implementation != PythonImplementation::CPython || version < OLDEST {
        return Err(format!(
            "{python} is {implementation} {version}: expected CPython {OLDEST} or newer; set PYO3_PYTHON to one"
        ));
    }
    let advice = format!(
        "install its shared library (Debian and Ubuntu: libpython{version}-dev; pyenv: \
         PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install {version}), or set PYO3_PYTHON to a Python that has it"
    );
    if !config.shared() {
        return Err(format!(
            "Python {version} ({python}) was built without a shared library, which httpy links to: {advice}"
        ));
    }
    // A library in one of the linker's own folders is no concern of ours, nor is one for another machine.
    let cross = env::var("HOST") != env::var("TARGET");
    let Some(name) = config.lib_name().filter(|_| !cross && !folders.is_empty()) else {
        return Ok(());
    };
    let target = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let usual = [
        "/usr/lib".to_owned(),
        "/usr/lib64".to_owned(),
        "/usr/local/lib".to_owned(),
        format!("/usr/lib/{target}-linux-gnu"),
    ];
    let found = folders
        .iter()
        .cloned()
        .chain(usual.iter().map(PathBuf::from))
        .any(|folder| {
            ["so", "dylib"]
                .iter()
                .any(|end| folder.join(format!("lib{name}.{end}")).exists())
                || folder.join("Python.framework").exists()
        });
    if found {
        return Ok(());
    }
    Err(format!(
        "Python {version} ({python}) has no lib{name} in {}: {advice}",
        folders[0].display()
    ))
}
