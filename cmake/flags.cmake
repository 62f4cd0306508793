# Compiler and linker flags for everything we compile (never for third-party sources).
include(CheckCCompilerFlag)
include(CheckCSourceCompiles)
include(CheckIPOSupported)

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Wvla -Wswitch-enum -Werror
                    -Wstrict-prototypes -Wmissing-prototypes -Wformat=2
                    -fno-strict-aliasing -fno-common)

# Hardening. PIE comes in two parts: code (-fPIE through POSITION_INDEPENDENT_CODE) and link (-pie).
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
add_compile_options(-fstack-protector-strong)
add_link_options(-Wl,-z,relro,-z,now -Wl,-z,noexecstack)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64|i.86)$")
    add_compile_options(-fcf-protection)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    add_compile_options(-mbranch-protection=standard)
endif()

if(RINGPOST_ANALYZE)
    # gcc 12 loses sight of what is behind two pointers (leaks) and of structs passed by value (uninitialised):
    # LeakSanitizer, valgrind, -Wmaybe-uninitialized and clang's analyzer look for those.
    add_compile_options(-fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-use-of-uninitialized-value)
    set(RINGPOST_LTO OFF)
endif()

set(RINGPOST_LTO_COMPILE "")
set(RINGPOST_LTO_LINK "")
if(RINGPOST_FUZZ AND NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "RINGPOST_FUZZ needs clang: CC=clang cmake ...")
endif()
if(RINGPOST_FUZZ)
    set(RINGPOST_SANITIZE ON)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(RINGPOST_SANITIZE)
    # The false positives of -Wmaybe-uninitialized multiply under instrumentation; the Release
    # build keeps that warning.
    add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all
                        -fno-omit-frame-pointer -g -O1
                        $<$<C_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    add_link_options(-fsanitize=address,undefined)
    set(CMAKE_C_FLAGS_RELEASE "")
elseif(RINGPOST_COVERAGE)
    # Counters of threads are exact, and each condition of the source is a branch: no optimisation. What forked
    # children and killed engines counted is lost.
    add_compile_options(--coverage -fprofile-update=atomic -fprofile-abs-path -g -O0
                        $<$<C_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    add_link_options(--coverage)
    set(CMAKE_C_FLAGS_RELEASE "")
elseif(RINGPOST_TSAN)
    add_compile_options(-fsanitize=thread -fno-omit-frame-pointer -g -O1
                        $<$<C_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    add_link_options(-fsanitize=thread)
    set(CMAKE_C_FLAGS_RELEASE "")
else()
    set(CMAKE_REQUIRED_FLAGS "-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
    check_c_source_compiles("
        #include <features.h>
        #if __USE_FORTIFY_LEVEL < 3
        #error level 3 is not supported
        #endif
        int main(void) { return 0; }" RINGPOST_FORTIFY_3)
    unset(CMAKE_REQUIRED_FLAGS)
    if(CMAKE_BUILD_TYPE STREQUAL "Debug")
        # FORTIFY needs optimisation.
    elseif(RINGPOST_FORTIFY_3)
        add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
    else()
        add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    endif()
    if(RINGPOST_LTO AND CMAKE_BUILD_TYPE STREQUAL "Release")
        check_ipo_supported(RESULT RINGPOST_HAVE_IPO OUTPUT RINGPOST_IPO_OUTPUT LANGUAGES C)
        if(RINGPOST_HAVE_IPO AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
            # Fat objects: the executables link with LTO, the many unit tests without.
            set(RINGPOST_LTO_COMPILE -flto=auto -ffat-lto-objects)
            set(RINGPOST_LTO_LINK -flto=auto -O2)
            if(CMAKE_C_COMPILER_AR AND CMAKE_C_COMPILER_RANLIB)
                set(CMAKE_AR "${CMAKE_C_COMPILER_AR}")
                set(CMAKE_RANLIB "${CMAKE_C_COMPILER_RANLIB}")
            endif()
        elseif(NOT RINGPOST_HAVE_IPO)
            message(STATUS "no link-time optimisation: ${RINGPOST_IPO_OUTPUT}")
        endif()
    endif()
endif()
