# SPDX-License-Identifier: Apache-2.0
# bonsai_test_bpf(<target> SOURCES a.bpf.c ... VARIANTS v ...): compiles each source once a variant
# into ${CMAKE_BINARY_DIR}/test-bpf/<a>.<variant>.o. A variant is <clang>-<cpu>-<level>, e.g.
# clang19-v3-O2. Variants of a clang that is not installed are left out; the list of those that were
# built is in TEST_BPF_VARIANTS of the caller, comma separated.
include_guard(GLOBAL)
find_program(TEST_BPF_CLANG19 NAMES clang-19 clang)
find_program(TEST_BPF_CLANG14 NAMES clang-14)
set(TEST_BPF_DIR "${CMAKE_BINARY_DIR}/test-bpf" CACHE INTERNAL "")
file(MAKE_DIRECTORY "${TEST_BPF_DIR}")

function(bonsai_test_bpf target)
  cmake_parse_arguments(arg "" "" "SOURCES;VARIANTS" ${ARGN})
  set(objects)
  set(built)
  foreach(variant ${arg_VARIANTS})
    string(REPLACE "-" ";" parts ${variant})
    list(GET parts 0 compiler)
    list(GET parts 1 cpu)
    list(GET parts 2 level)
    string(TOUPPER "TEST_BPF_${compiler}" clang)
    if(NOT ${clang})
      continue()
    endif()
    list(APPEND built ${variant})
    foreach(source ${arg_SOURCES})
      get_filename_component(name ${source} NAME)
      string(REPLACE ".bpf.c" "" name ${name})
      get_filename_component(source ${source} ABSOLUTE)
      set(object "${TEST_BPF_DIR}/${name}.${variant}.o")
      add_custom_command(
        OUTPUT "${object}"
        COMMAND ${${clang}} -target bpf -mcpu=${cpu} -${level} -g -std=gnu11 -Wall -Werror
                -fdebug-prefix-map=${PROJECT_SOURCE_DIR}=.
                -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE} -c "${source}" -o "${object}"
        WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"  # so that the line texts are found for BTF
        DEPENDS "${source}" COMMENT "Building test object ${name} (${variant})" VERBATIM)
      list(APPEND objects "${object}")
    endforeach()
  endforeach()
  add_custom_target(${target} DEPENDS ${objects})
  string(REPLACE ";" "," built "${built}")
  set(TEST_BPF_VARIANTS "${built}" PARENT_SCOPE)
endfunction()
