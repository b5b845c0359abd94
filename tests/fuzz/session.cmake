# SPDX-License-Identifier: Apache-2.0
# Short libFuzzer sessions as tests of any build, where clang 19 and its runtime are installed. The
# targets are built with sanitizers in a build directory of their own, once one of the tests is run.
find_program(FUZZ_CLANG clang++-19)
if(FUZZ_CLANG AND NOT DEFINED FUZZ_RUNTIME)
  set(probe "${CMAKE_CURRENT_BINARY_DIR}/probe.cc")
  file(WRITE "${probe}" "extern \"C\" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }\n")
  execute_process(COMMAND ${FUZZ_CLANG} -fsanitize=fuzzer,address,undefined "${probe}" -o "${probe}.out"
                  RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  string(COMPARE EQUAL "${failed}" 0 runtime)
  set(FUZZ_RUNTIME ${runtime} CACHE INTERNAL "clang++-19 links libFuzzer and the sanitizers")
endif()
if(BONSAI_SANITIZE OR NOT FUZZ_RUNTIME)
  message(STATUS "libFuzzer sessions are left out: they need clang-19 and libclang-rt-19-dev")
  return()
endif()

add_test(NAME fuzz.Build
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/build.sh ${CMAKE_BINARY_DIR}/fuzz)
set_tests_properties(fuzz.Build PROPERTIES LABELS fuzz TIMEOUT 1200 FIXTURES_SETUP libfuzzer)
foreach(target object engine)
  add_test(NAME fuzz.Session.${target}
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/session.sh ${CMAKE_BINARY_DIR}/fuzz ${target} 40)
  set_tests_properties(fuzz.Session.${target} PROPERTIES LABELS fuzz TIMEOUT 300
    FIXTURES_REQUIRED libfuzzer)
endforeach()
