# SPDX-License-Identifier: Apache-2.0
# libFuzzer targets and their seeds: cmake --preset fuzz && cmake --build --preset fuzz.
include(${PROJECT_SOURCE_DIR}/tests/unit/object/TestBpf.cmake)

function(bonsai_fuzz name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE bonsai_flags bonsai_reachability)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
endfunction()
bonsai_fuzz(object_fuzz object_libfuzzer.cc object_fuzz.cc insn_mutator.cc insn_idioms.cc)
bonsai_fuzz(engine_fuzz engine_libfuzzer.cc engine_fuzz.cc engine_input.cc insn_mutator.cc insn_idioms.cc
            concrete.cc concrete_alu.cc concrete_calls.cc)

add_executable(make_seeds make_seeds.cc)
target_link_libraries(make_seeds PRIVATE bonsai_flags bonsai_reachability)

set(tests ${PROJECT_SOURCE_DIR}/tests/unit)
bonsai_test_bpf(fuzz_objects
  SOURCES ${tests}/object/kinds.bpf.c ${tests}/reachability/uses.bpf.c
          ${tests}/reachability/traps.bpf.c
  VARIANTS clang19-v2-O2 clang19-v4-O2)
set(stamp "${CMAKE_BINARY_DIR}/seeds/made")
add_custom_command(OUTPUT "${stamp}"
  COMMAND ${CMAKE_COMMAND} -E rm -rf "${CMAKE_BINARY_DIR}/seeds"
  COMMAND make_seeds "${CMAKE_BINARY_DIR}/seeds" "${TEST_BPF_DIR}" "${CMAKE_BINARY_DIR}/bpf"
  COMMAND ${CMAKE_COMMAND} -E touch "${stamp}"
  DEPENDS make_seeds fuzz_objects bonsai_bpf COMMENT "Making seeds" VERBATIM)
add_custom_target(fuzz DEPENDS object_fuzz engine_fuzz "${stamp}")

foreach(target object engine)
  add_test(NAME fuzz.Session.${target}
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/session.sh ${CMAKE_BINARY_DIR} ${target} 60)
  set_tests_properties(fuzz.Session.${target} PROPERTIES LABELS fuzz TIMEOUT 300)
endforeach()
