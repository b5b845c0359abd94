# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# add_bpf_object(NAME): compiles NAME.bpf.c into ${CMAKE_BINARY_DIR}/bpf/NAME.bpf.o and adds it to the
# sources of target bonsai_bpf.

set(BPF_CLANG "" CACHE FILEPATH "clang that compiles the datapath (default: clang-19, clang)")
if(NOT BPF_CLANG)
  find_program(BPF_CLANG_FOUND NAMES clang-19 clang
               DOC "clang found for the datapath; set BPF_CLANG to override")
  if(NOT BPF_CLANG_FOUND)
    message(FATAL_ERROR "compiling the datapath: no clang found; install clang-19 or set BPF_CLANG")
  endif()
  set(BPF_CLANG_USED "${BPF_CLANG_FOUND}")
else()
  set(BPF_CLANG_USED "${BPF_CLANG}")
endif()

# <asm/types.h> lives in the multiarch directory, which `-target bpf` does not search.
set(_bpf_multiarch "${CMAKE_LIBRARY_ARCHITECTURE}")
if(NOT _bpf_multiarch)
  execute_process(COMMAND ${CMAKE_C_COMPILER} -print-multiarch
                  OUTPUT_VARIABLE _bpf_multiarch OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()

set(BPF_CFLAGS -target bpf -mcpu=v3 -O2 -g -std=gnu11 -fno-strict-aliasing
               -Wall -Wextra -Werror)
if(_bpf_multiarch AND EXISTS "/usr/include/${_bpf_multiarch}")
  list(APPEND BPF_CFLAGS -idirafter "/usr/include/${_bpf_multiarch}")
endif()

set(BPF_OUTPUT_DIR "${CMAKE_BINARY_DIR}/bpf")
file(MAKE_DIRECTORY "${BPF_OUTPUT_DIR}")

function(add_bpf_object name)
  set(source "${CMAKE_CURRENT_SOURCE_DIR}/${name}.bpf.c")
  set(object "${BPF_OUTPUT_DIR}/${name}.bpf.o")
  # -fdebug-prefix-map: the same object bytes wherever the tree is checked out.
  add_custom_command(
    OUTPUT "${object}"
    COMMAND ${BPF_CLANG_USED} ${BPF_CFLAGS} "-fdebug-prefix-map=${PROJECT_SOURCE_DIR}=."
            -MD -MF "${object}.d" -c "${source}" -o "${object}"
    DEPENDS "${source}"
    DEPFILE "${object}.d"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"  # the mapped paths: BTF gets the lines' text
    COMMENT "Building BPF object bpf/${name}.bpf.o"
    VERBATIM)
  set_property(GLOBAL APPEND PROPERTY BONSAI_BPF_OBJECTS "${object}")
endfunction()
