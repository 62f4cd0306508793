# Writes OUT (ringpost_version.h) from VERSION and the state of the work tree SOURCE, if there is one.
execute_process(COMMAND git -C "${SOURCE}" describe --always --dirty --abbrev=10
                OUTPUT_VARIABLE git OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET
                RESULT_VARIABLE failed)
if(failed OR git STREQUAL "")
    set(full "${VERSION}")
else()
    set(full "${VERSION} (${git})")
endif()
set(text "/* Made by cmake/version.cmake. */
#ifndef RINGPOST_VERSION_H
#define RINGPOST_VERSION_H
#define RINGPOST_VERSION \"${VERSION}\"
#define RINGPOST_VERSION_FULL \"${full}\"
#endif
")
set(old "")
if(EXISTS "${OUT}")
    file(READ "${OUT}" old)
endif()
if(NOT old STREQUAL text)
    file(WRITE "${OUT}" "${text}")
endif()
