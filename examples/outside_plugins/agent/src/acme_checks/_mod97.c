/* The check digits of ISO 7064 (MOD 97-10), as bank account and creditor references use them. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *
check_digits(PyObject *module, PyObject *argument)
{
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(argument, &length);
    if (text == NULL) {
        return NULL;
    }
    unsigned int remainder = 0;
    for (Py_ssize_t index = 0; index < length; index++) {
        char character = text[index];
        if (character >= '0' && character <= '9') {
            remainder = (remainder * 10 + (unsigned int)(character - '0')) % 97;
        } else if (character >= 'A' && character <= 'Z') {
            remainder = (remainder * 100 + (unsigned int)(character - 'A') + 10) % 97;
        } else {
            PyErr_SetString(PyExc_ValueError, "only the digits 0 to 9 and the letters A to Z can be checked");
            return NULL;
        }
    }
    return PyLong_FromUnsignedLong(98 - (remainder * 100) % 97);
}

static PyMethodDef methods[] = {
    {"check_digits", check_digits, METH_O, "The two check digits of a reference, as a number."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "acme_checks._mod97",
    .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC
PyInit__mod97(void)
{
    return PyModuleDef_Init(&module);
}
