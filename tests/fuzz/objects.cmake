# SPDX-License-Identifier: Apache-2.0
# The ELF reader and the reachability engine on broken input: a bounded number of mutations.
bonsai_test(NAME object_mutation_test LABEL fuzz TIMEOUT 300
  SOURCES object_mutation_test.cc object_fuzz.cc LIBS bonsai_reachability)
add_dependencies(object_mutation_test test_bpf_object test_bpf_reachability)
target_compile_definitions(object_mutation_test PRIVATE TEST_BPF_DIR="${CMAKE_BINARY_DIR}/test-bpf")

bonsai_test(NAME engine_random_test LABEL fuzz TIMEOUT 300
  SOURCES engine_random_test.cc engine_fuzz.cc engine_input.cc insn_mutator.cc insn_idioms.cc
          concrete.cc
          concrete_alu.cc concrete_calls.cc
  LIBS bonsai_reachability)
