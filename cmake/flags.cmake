# SPDX-License-Identifier: Apache-2.0
add_library(mendfs_flags INTERFACE)
target_compile_definitions(mendfs_flags INTERFACE _GNU_SOURCE
	_FILE_OFFSET_BITS=64 MENDFS_VERSION="${PROJECT_VERSION}")
target_compile_options(mendfs_flags INTERFACE -Wall -Wextra -Wshadow
	-Wstrict-prototypes -Wmissing-prototypes -Wvla -Wwrite-strings
	-Wpointer-arith -Wformat=2 -Wundef -Wcast-qual -fno-strict-aliasing
	-fno-omit-frame-pointer)
target_include_directories(mendfs_flags INTERFACE ${PROJECT_SOURCE_DIR})
if(MENDFS_WERROR)
	target_compile_options(mendfs_flags INTERFACE -Werror)
endif()
if(MENDFS_SANITIZE)
	target_compile_options(mendfs_flags INTERFACE
		-fsanitize=${MENDFS_SANITIZE} -fno-sanitize-recover=all)
	target_link_options(mendfs_flags INTERFACE
		-fsanitize=${MENDFS_SANITIZE})
endif()
if(MENDFS_COVERAGE)
	target_compile_options(mendfs_flags INTERFACE --coverage)
	target_link_options(mendfs_flags INTERFACE --coverage)
endif()
