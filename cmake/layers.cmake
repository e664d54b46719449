# SPDX-License-Identifier: Apache-2.0
# mendfs_layer(NAME links...): one static library from every .c of the folder.
# The link graph is the layer table of ARCHITECTURE.md.
function(mendfs_layer name)
	file(GLOB sources CONFIGURE_DEPENDS *.c)
	if(sources)
		add_library(mendfs_${name} STATIC ${sources})
		target_link_libraries(mendfs_${name} PUBLIC mendfs_flags ${ARGN})
	else()
		add_library(mendfs_${name} INTERFACE)
		target_link_libraries(mendfs_${name} INTERFACE mendfs_flags ${ARGN})
	endif()
endfunction()
