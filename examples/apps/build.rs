//! Lets the program find libpython without `LD_LIBRARY_PATH`.

fn main() {
    httpy_build::link_python();
}
