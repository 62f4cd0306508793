# Third-party libraries as imported targets ext_*. A missing one is a warning here and a compile
# error only in the folder that needs it, so that the other folders still build.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(ringpost_pkg target package)
    pkg_check_modules(${target} QUIET IMPORTED_TARGET ${package})
    add_library(ext_${target} INTERFACE)
    if(${target}_FOUND)
        target_link_libraries(ext_${target} INTERFACE PkgConfig::${target})
    else()
        message(WARNING "${package} was not found: run ./dev deps")
    endif()
endfunction()

# A static library of ./dev deps. -DRINGPOST_<NAME>_PREFIX overrides the newest one in the cache.
function(ringpost_static target name archive)
    string(TOUPPER ${target} upper)
    set(prefix "${RINGPOST_${upper}_PREFIX}")
    if(NOT prefix)
        execute_process(COMMAND sh "${CMAKE_SOURCE_DIR}/dev" prefix ${name}
                        OUTPUT_VARIABLE prefix OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    endif()
    add_library(ext_${target} INTERFACE)
    if(prefix AND EXISTS "${prefix}/lib/${archive}")
        message(STATUS "${name}: ${prefix}")
        target_include_directories(ext_${target} SYSTEM INTERFACE "${prefix}/include")
        target_link_libraries(ext_${target} INTERFACE "${prefix}/lib/${archive}" ${ARGN})
    else()
        message(WARNING "${name} (static) was not found: run ./dev deps")
    endif()
endfunction()

ringpost_pkg(uring liburing)
ringpost_pkg(fyaml libfyaml)
ringpost_pkg(jsonc json-c)
ringpost_pkg(idn2 libidn2)
ringpost_pkg(pcre2 libpcre2-8)
ringpost_pkg(jemalloc jemalloc)
ringpost_pkg(crypt libcrypt)
ringpost_pkg(seccomp libseccomp)
if(RINGPOST_TESTS)
    ringpost_pkg(check check)
endif()

ringpost_static(cares c-ares libcares.a)
target_compile_definitions(ext_cares INTERFACE CARES_STATICLIB)

if(RINGPOST_WOLFSSL STREQUAL "system")
    message(WARNING "RINGPOST_WOLFSSL=system: the distribution's wolfSSL has no AES-NI and no "
                    "assembly: AES-GCM about 35 times slower, RSA about 4 times, and ten times "
                    "the memory per connection")
    ringpost_pkg(wolfssl wolfssl)
else()
    ringpost_static(wolfssl wolfssl libwolfssl.a m)
endif()
