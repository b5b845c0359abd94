# SPDX-License-Identifier: Apache-2.0
# The ELF reader and the reachability engine: mutations as a test, and a libFuzzer target.
bonsai_test(NAME object_mutation_test LABEL fuzz TIMEOUT 300
  SOURCES object_mutation_test.cc object_fuzz.cc LIBS bonsai_reachability)
add_dependencies(object_mutation_test test_bpf_object test_bpf_reachability)
target_compile_definitions(object_mutation_test PRIVATE TEST_BPF_DIR="${CMAKE_BINARY_DIR}/test-bpf")

if(BONSAI_FUZZ)
  add_executable(object_fuzz object_fuzz.cc)
  target_link_libraries(object_fuzz PRIVATE bonsai_flags bonsai_reachability)
  target_compile_definitions(object_fuzz PRIVATE BONSAI_LIBFUZZER)
  target_compile_options(object_fuzz PRIVATE -fsanitize=fuzzer)
  target_link_options(object_fuzz PRIVATE -fsanitize=fuzzer)
endif()
