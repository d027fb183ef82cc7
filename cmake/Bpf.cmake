# SPDX-License-Identifier: Apache-2.0
# faultline_bpf(dir/name): compiles dir/name.bpf.c for the BPF target and makes the skeleton <name>.skel.h, whose struct
# is <name>_bpf; the kernel sees the object's global data as fl_*. Depends on every header the object includes (clang writes a DEPFILE). Link with bpf_<name>.
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
  set(FAULTLINE_BPF_ARCH arm64)
else()
  set(FAULTLINE_BPF_ARCH x86)
endif()

function(faultline_bpf path)
  get_filename_component(name ${path} NAME)
  set(source ${CMAKE_SOURCE_DIR}/bpf/${path}.bpf.c)
  set(out ${CMAKE_BINARY_DIR}/bpf/${name})
  file(MAKE_DIRECTORY ${out})
  add_custom_command(
    OUTPUT ${out}/${name}.skel.h
    COMMAND ${CLANG_BPF} -g -O2 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-address-of-packed-member
            -Wno-missing-field-initializers -ffile-prefix-map=${CMAKE_SOURCE_DIR}/= -target bpf -mcpu=v3 -D__TARGET_ARCH_${FAULTLINE_BPF_ARCH}
            -I${CMAKE_SOURCE_DIR}/bpf/include -isystem /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
            -MD -MF ${out}/${name}.d -MT ${out}/${name}.skel.h
            -c ${source} -o ${out}/${name}.unlinked.o
    COMMAND ${BPFTOOL} gen object ${out}/${name}.bpf.o ${out}/${name}.unlinked.o
    COMMAND ${BPFTOOL} gen skeleton ${out}/${name}.bpf.o name fl_${name} > ${out}/${name}.skel.h.tmp
    COMMAND echo "typedef struct fl_${name} ${name}_bpf;" >> ${out}/${name}.skel.h.tmp
    COMMAND ${CMAKE_COMMAND} -E rename ${out}/${name}.skel.h.tmp ${out}/${name}.skel.h
    DEPENDS ${source}
    DEPFILE ${out}/${name}.d
    COMMENT "BPF ${path}"
    VERBATIM)
  add_custom_target(bpf_${name}_skel DEPENDS ${out}/${name}.skel.h)
  add_library(bpf_${name} INTERFACE)
  add_dependencies(bpf_${name} bpf_${name}_skel)
  target_include_directories(bpf_${name} SYSTEM INTERFACE ${out})
  target_include_directories(bpf_${name} INTERFACE ${CMAKE_SOURCE_DIR}/bpf/include)
  target_link_libraries(bpf_${name} INTERFACE PkgConfig::LIBBPF)
endfunction()
