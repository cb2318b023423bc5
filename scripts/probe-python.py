"""Says whether the Python that runs this file can be embedded, and where its shared library is.

Prints `version<TAB>executable<TAB>library folder`, or one line with the reason and exits with 1. With `--base` the
executable is the one a virtual environment was made from. `scripts/find-python` asks every candidate; this file has to
parse under any Python 3.
"""

import os
import sys
import sysconfig


def main():
    version = "%d.%d" % sys.version_info[:2]
    if sys.implementation.name != "cpython":
        return refuse("%s is not CPython" % sys.implementation.name)
    if sys.version_info < (3, 11):
        return refuse("version %s is older than 3.11" % version)
    if sysconfig.get_config_var("Py_GIL_DISABLED") and sys.version_info < (3, 14):
        return refuse("free-threaded %s is older than 3.14" % version)

    folder = sysconfig.get_config_var("LIBDIR") or ""
    library = os.path.join(folder, sysconfig.get_config_var("LDLIBRARY") or "")
    if sysconfig.get_config_var("PYTHONFRAMEWORK"):
        # A framework's LDLIBRARY is relative to the folder that holds all frameworks.
        folder = sysconfig.get_config_var("PYTHONFRAMEWORKPREFIX") or ""
        library = os.path.join(folder, sysconfig.get_config_var("LDLIBRARY") or "")
    elif not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        return refuse("version %s was built without a shared library" % version)
    if not os.path.isfile(library):
        return refuse("version %s lacks its shared library %s" % (version, library))

    executable = sys.executable
    if "--base" in sys.argv[1:] and sys.prefix != sys.base_prefix:
        base = os.path.join(sys.base_exec_prefix, "bin", "python" + version)
        executable = base if os.path.isfile(base) else executable
    print("%s\t%s\t%s" % (version, executable, folder))
    return 0


def refuse(reason):
    print(reason)
    return 1


sys.exit(main())
