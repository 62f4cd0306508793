# Folder = library.
#
# ringpost_module(core/io) makes the static library core_io of core/io/*.c (an INTERFACE library
# while there is no .c file yet). Its link dependencies are the folders and the third-party headers
# its files include, read at configure time; the sources are configure dependencies, so a new
# include re-reads them. Whether an include is allowed is not decided here but in tests/lint.

set(RINGPOST_FOLDERS core/base core/io core/conf core/obs core/queue core/policy core/relay
    core/admin core/app proto/smtp proto/mail proto/http proto/proxy proto/socks tls spool dns bench)

# third-party header (regular expression) = imported target. xxhash.h is missing on purpose: it is
# used header-only (its includer defines XXH_INLINE_ALL) from the system's include folder.
set(RINGPOST_EXTERNALS
    "liburing[./]=ext_uring" "libfyaml\\.h=ext_fyaml" "json-c/|json\\.h=ext_jsonc"
    "idn2\\.h=ext_idn2" "pcre2\\.h=ext_pcre2" "ares[a-z_]*\\.h=ext_cares"
    "wolfssl/=ext_wolfssl" "jemalloc/=ext_jemalloc" "crypt\\.h=ext_crypt"
    "seccomp\\.h=ext_seccomp")

# The libraries that the given files need, by what they include.
function(ringpost_includes out)
    set(found "")
    foreach(file IN LISTS ARGN)
        file(STRINGS "${file}" lines REGEX "^[ \t]*#[ \t]*include")
        foreach(line IN LISTS lines)
            if(line MATCHES "\"([a-z0-9_/]+)/[a-z0-9_]+\\.[hc]\"")
                if("${CMAKE_MATCH_1}" IN_LIST RINGPOST_FOLDERS)
                    string(REPLACE "/" "_" name "${CMAKE_MATCH_1}")
                    list(APPEND found "mod_${name}")
                endif()
            endif()
            foreach(row IN LISTS RINGPOST_EXTERNALS)
                string(REGEX MATCH "^(.*)=([a-z0-9_]+)$" _ "${row}")
                set(target "${CMAKE_MATCH_2}")
                if(line MATCHES "<(${CMAKE_MATCH_1})")
                    list(APPEND found "${target}")
                endif()
            endforeach()
        endforeach()
    endforeach()
    list(REMOVE_DUPLICATES found)
    # mod_x → x (a plain name, so that the same list serves target_link_libraries)
    list(TRANSFORM found REPLACE "^mod_" "")
    set(${out} "${found}" PARENT_SCOPE)
endfunction()

function(ringpost_module folder)
    cmake_parse_arguments(arg "" "" "EXCEPT" ${ARGN})
    string(REPLACE "/" "_" name "${folder}")
    file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/${folder}/*.c")
    file(GLOB headers CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/${folder}/*.h")
    foreach(except IN LISTS arg_EXCEPT)
        list(REMOVE_ITEM sources "${CMAKE_SOURCE_DIR}/${folder}/${except}")
    endforeach()
    ringpost_includes(needs ${sources} ${headers})
    list(REMOVE_ITEM needs ${name})
    if(sources OR headers)
        set_property(DIRECTORY "${CMAKE_SOURCE_DIR}" APPEND PROPERTY
                     CMAKE_CONFIGURE_DEPENDS ${sources} ${headers})
    endif()
    if(sources)
        add_library(${name} STATIC ${sources})
        set(scope PUBLIC)
        target_compile_options(${name} PRIVATE ${RINGPOST_LTO_COMPILE})
        # Archives do not need each other to be built, only the executables need them all.
        set_target_properties(${name} PROPERTIES OPTIMIZE_DEPENDENCIES ON)
    else()
        add_library(${name} INTERFACE)
        set(scope INTERFACE)
    endif()
    target_include_directories(${name} ${scope} "${CMAKE_SOURCE_DIR}" "${RINGPOST_GENERATED}")
    target_link_libraries(${name} ${scope} ${needs} Threads::Threads)
endfunction()

# An executable from <folder>/main.c and the folder's library; absent while there is no main.c.
function(ringpost_executable name folder)
    if(NOT EXISTS "${CMAKE_SOURCE_DIR}/${folder}/main.c")
        file(GLOB main CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/${folder}/main.c")
        message(STATUS "${name}: no ${folder}/main.c yet")
        return()
    endif()
    string(REPLACE "/" "_" library "${folder}")
    set(main "${CMAKE_SOURCE_DIR}/${folder}/main.c")
    ringpost_includes(needs ${main})
    add_executable(${name} ${main})
    target_compile_options(${name} PRIVATE ${RINGPOST_LTO_COMPILE})
    target_link_options(${name} PRIVATE ${RINGPOST_LTO_LINK})
    target_link_libraries(${name} PRIVATE ${library} ${needs} m)
    if(NOT RINGPOST_SANITIZE AND NOT RINGPOST_TSAN AND NOT RINGPOST_COVERAGE)
        # One word, or CMake moves the library out of the bracket.
        target_link_libraries(${name} PRIVATE
                              "-Wl,--push-state,--no-as-needed,-ljemalloc,--pop-state")
    endif()
    add_dependencies(${name} ringpost_version)
endfunction()

# ringpost_version.h: project version plus git describe; rewritten only when it changes.
function(ringpost_version_header)
    set(command ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR} -DVERSION=${PROJECT_VERSION}
        -DOUT=${RINGPOST_GENERATED}/ringpost_version.h -P ${CMAKE_SOURCE_DIR}/cmake/version.cmake)
    execute_process(COMMAND ${command})
    add_custom_target(ringpost_version COMMAND ${command} VERBATIM)
endfunction()

set(RINGPOST_GENERATED "${CMAKE_BINARY_DIR}/generated")
