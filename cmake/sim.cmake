# ringpost-sim: the engine without main.c upon the twins in tests/sim. Their symbols are the executable's own,
# so the archives' versions (core/io/disk.c, net.c, offload.c, dns/channel.c, core/obs/sink.c) stay out of the
# link: a function that has no twin is a duplicate definition, not a silent use of the real thing.
file(GLOB sim_sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/sim/*.c"
     "${CMAKE_SOURCE_DIR}/tests/sim/*.h")
ringpost_includes(sim_needs ${sim_sources})
add_executable(ringpost-sim ${sim_sources})
target_include_directories(ringpost-sim PRIVATE "${CMAKE_SOURCE_DIR}" "${RINGPOST_GENERATED}")
foreach(symbol malloc calloc realloc free aligned_alloc posix_memalign strdup strndup clock_gettime
        getrandom pthread_create must_fail)
    target_link_options(ringpost-sim PRIVATE "-Wl,--wrap=${symbol}")
endforeach()
target_link_options(ringpost-sim PRIVATE $<$<BOOL:${RINGPOST_LTO_COMPILE}>:-fno-lto>)
target_link_libraries(ringpost-sim PRIVATE ${sim_needs} Threads::Threads m)
