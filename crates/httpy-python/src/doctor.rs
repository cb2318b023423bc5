//! What `httpy_rs._doctor` finds out about the interpreter, and the one thing that Python cannot find out by itself: whether
//! an extension module declares that it needs no GIL.

use std::ffi::{OsStr, c_int};
use std::path::PathBuf;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyModule};

/// The slots in which a module says so, and what it says then; in CPython's headers from 3.13 on, and part of its stable
/// interface. What is compiled for 3.15 has the second number, which older ones refuse.
const GIL_SLOTS: [c_int; 2] = [4, 87];
const GIL_NOT_USED: usize = 1;
/// No module has so many slots; where the list does not end, it is none.
const SLOTS_LIMIT: usize = 64;

/// The report on the interpreter, as JSON. `paths` are the folders that the server was told to put on `sys.path`.
///
/// # Errors
///
/// What app code has broken so thoroughly that nothing can be found out.
pub(crate) fn examine(py: Python<'_>, paths: &[PathBuf]) -> PyResult<String> {
    let declares = PyCFunction::new_closure(
        py,
        Some(c"declares"),
        None,
        |arguments, _| -> PyResult<Option<bool>> {
            Ok(arguments
                .get_item(0)?
                .cast::<PyModule>()
                .ok()
                .and_then(declares_no_gil))
        },
    )?;
    let paths: Vec<&OsStr> = paths.iter().map(|path| path.as_os_str()).collect();
    py.import("httpy_rs._doctor")?
        .getattr("examine")?
        .call1((paths, declares))?
        .extract()
}

/// Whether `module` declares that it needs no GIL; none for a module without a definition. To be asked from Python 3.13 on.
fn declares_no_gil(module: &Bound<'_, PyModule>) -> Option<bool> {
    // SAFETY: 1. The bound reference proves that this thread is attached, and that `module` is a module and lives. 2. The
    // definition that is returned, where there is one, lives as long as the module.
    let definition = unsafe { ffi::PyModule_GetDef(module.as_ptr()) };
    if definition.is_null() {
        return None;
    }
    // SAFETY: 1. It is not null, and a valid definition: CPython has made the module of it. 2. Nothing writes to it then.
    let slots = unsafe { (*definition).m_slots };
    if slots.is_null() {
        // Made in one step, which cannot declare it in this way.
        return Some(false);
    }
    for index in 0..SLOTS_LIMIT {
        // SAFETY: 1. `slots` is a list that ends with a slot of number 0. 2. No slot before this one had number 0.
        let slot = unsafe { *slots.add(index) };
        match slot.slot {
            0 => break,
            number if GIL_SLOTS.contains(&number) => {
                return Some(slot.value.addr() == GIL_NOT_USED);
            }
            _ => {}
        }
    }
    Some(false)
}
