/* The program of a base runtime: CPython, told to take everything from the directory that the program lies in.
 *
 * No variable of the environment, no user's package and no other installation has a say in it. Text is UTF-8, whatever
 * the locale is: bare containers have none. The module runtara_launcher in lib/ does the rest.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNUSABLE 126

static const char *const search_path[] = {"lib", "lib/lib-dynload", "packages"};

/* Where this program lies: /proc knows; without it the name that it was started by, when that is a path. */
static int find_program(const char *started_as, char *program)
{
    ssize_t length = readlink("/proc/self/exe", program, PATH_MAX - 1);
    if (length > 0) {
        program[length] = '\0';
        return 1;
    }
    return strchr(started_as, '/') != NULL && realpath(started_as, program) != NULL;
}

static PyStatus add_to_search_path(PyConfig *config, const char *root, const char *part)
{
    char path[2 * PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", root, part);
    wchar_t *wide = Py_DecodeLocale(path, NULL);
    if (wide == NULL)
        return PyStatus_NoMemory();
    PyStatus status = PyWideStringList_Append(&config->module_search_paths, wide);
    PyMem_RawFree(wide);
    return status;
}

static PyStatus configure(PyConfig *config, int argc, char **argv, const char *program, const char *root)
{
    PyStatus status;
    config->site_import = 0;
    config->write_bytecode = 0;
    config->parse_argv = 0;
    config->pathconfig_warnings = 0;
    config->install_signal_handlers = 1; /* as an interpreter has them: SIGPIPE is ignored, SIGINT an exception */
    config->module_search_paths_set = 1;
    for (size_t position = 0; position < sizeof search_path / sizeof *search_path; position++) {
        status = add_to_search_path(config, root, search_path[position]);
        if (PyStatus_Exception(status))
            return status;
    }
    status = PyConfig_SetBytesString(config, &config->home, root);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetBytesString(config, &config->executable, program);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetBytesString(config, &config->run_command, "from runtara_launcher import main; main()");
    if (!PyStatus_Exception(status))
        status = PyConfig_SetBytesArgv(config, argc, argv);
    return status;
}

int main(int argc, char **argv)
{
    char program[PATH_MAX], root[PATH_MAX];
    if (argc < 1 || !find_program(argv[0], program)) {
        fprintf(stderr, "error: cannot tell where this program lies: mount /proc, or start it by its path\n");
        return UNUSABLE;
    }
    strcpy(root, program);
    *strrchr(root, '/') = '\0';

    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    PyStatus status = Py_PreInitialize(&before);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);

    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    status = configure(&config, argc, argv, program, root);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
    return Py_RunMain();
}
