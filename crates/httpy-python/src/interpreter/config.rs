//! Starts CPython on the calling thread, with settings that suit a guest in somebody else's process.
//!
//! Knows nothing of virtual environments: the program name says it all to CPython.

use std::{
    env,
    ffi::{CStr, CString, OsString, c_char},
    mem::MaybeUninit,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
};

use httpy_core::StartError;
use libc::wchar_t;
use pyo3::ffi;

/// Starts CPython with `program` as its executable and leaves the calling thread detached, as Python's main thread.
/// The caller must keep that thread: when it ends, its id can go to another thread.
pub(super) fn initialize(program: Option<&Path>) -> Result<(), StartError> {
    let program = match program {
        Some(program) => c_string(program.as_os_str().as_bytes().to_vec())?,
        // CPython would take `argv[0]` otherwise, which is the host.
        None => c"python3".to_owned(),
    };
    let first_argument = env::args_os()
        .next()
        .filter(|argument| !argument.is_empty())
        .unwrap_or_else(|| OsString::from("httpy"));
    let arguments = [c_string(first_argument.into_vec())?];

    preinitialize()?;
    Config::new().start(&program, &arguments)?;

    // SAFETY:
    // 1. The start above succeeded, so this thread is attached and has a thread state.
    // 2. The state that is returned stays this thread's: attaching again finds it.
    unsafe {
        ffi::PyEval_SaveThread();
    }
    Ok(())
}

fn preinitialize() -> Result<(), StartError> {
    let mut settings = MaybeUninit::<ffi::PyPreConfig>::zeroed();
    // SAFETY:
    // 1. Before the start this may be called from any thread, and the caller lets no second one start.
    // 2. `PyPreConfig_InitPythonConfig` writes every field; before, all were zeroed integers.
    // 3. `settings` is not read after the call that takes it.
    let status = unsafe {
        ffi::PyPreConfig_InitPythonConfig(settings.as_mut_ptr());
        let mut settings = settings.assume_init();
        settings.parse_argv = 0;
        settings.utf8_mode = 1;
        // Coercion calls `setenv`, which must not happen beside running threads.
        settings.coerce_c_locale = 0;
        settings.coerce_c_locale_warn = 0;
        ffi::Py_PreInitialize(&raw const settings)
    };
    check(status)
}

/// A `PyConfig` that is cleared at the end.
struct Config(ffi::PyConfig);

impl Config {
    fn new() -> Self {
        let mut config = MaybeUninit::<ffi::PyConfig>::zeroed();
        // SAFETY:
        // 1. All fields are integers, pointers and lists of pointers, for which zeroes are valid.
        // 2. CPython is preinitialised, so its allocator and its encoding are set.
        // 3. A `PyConfig` holds no pointers into itself, so it may be moved.
        let mut config = unsafe {
            ffi::PyConfig_InitPythonConfig(config.as_mut_ptr());
            config.assume_init()
        };
        config.parse_argv = 0;
        config.install_signal_handlers = 0;
        config.buffered_stdio = 0;
        Self(config)
    }

    fn start(mut self, program: &CStr, arguments: &[CString]) -> Result<(), StartError> {
        let config = &raw mut self.0;
        // SAFETY:
        // 1. `config` points to an initialised `PyConfig` for all of the block.
        // 2. The field is one of its string fields, and CPython copies the NUL-terminated text.
        let status = unsafe {
            let field: *mut *mut wchar_t = &raw mut (*config).program_name;
            ffi::PyConfig_SetBytesString(config, field, program.as_ptr())
        };
        check(status)?;

        let mut pointers: Vec<*const c_char> =
            arguments.iter().map(|argument| argument.as_ptr()).collect();
        let count = ffi::Py_ssize_t::try_from(pointers.len()).unwrap_or(0);
        // SAFETY:
        // 1. `pointers` holds `count` or more NUL-terminated strings that outlive the call, and CPython copies them.
        let status = unsafe { ffi::PyConfig_SetBytesArgv(config, count, pointers.as_mut_ptr()) };
        check(status)?;

        // SAFETY:
        // 1. CPython is preinitialised but not started, as the caller made sure.
        // 2. `config` is an initialised `PyConfig`, from which CPython copies.
        let status = unsafe { ffi::Py_InitializeFromConfig(config) };
        check(status)
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY:
        // 1. The config was initialised, and owns its strings through CPython's raw allocator.
        // 2. That allocator may be used in every state of the interpreter.
        unsafe { ffi::PyConfig_Clear(&raw mut self.0) }
    }
}

fn check(status: ffi::PyStatus) -> Result<(), StartError> {
    // SAFETY:
    // 1. The function only looks at the value it is given.
    if unsafe { ffi::PyStatus_Exception(status) } == 0 {
        return Ok(());
    }
    let message = match (text(status.func), text(status.err_msg)) {
        (Some(function), Some(message)) => format!("{function}: {message}"),
        (None, Some(message)) => message,
        (_, None) => format!("it asked to exit with status {}", status.exitcode),
    };
    Err(StartError::Interpreter { message })
}

fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY:
    // 1. It is not null, and the texts of a `PyStatus` are NUL-terminated literals of libpython.
    let text = unsafe { CStr::from_ptr(pointer) };
    Some(text.to_string_lossy().into_owned())
}

fn c_string(bytes: Vec<u8>) -> Result<CString, StartError> {
    CString::new(bytes).map_err(|error| StartError::Interpreter {
        message: format!("a path with a NUL byte ({error})"),
    })
}
