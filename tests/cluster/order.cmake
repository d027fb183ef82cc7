# SPDX-License-Identifier: Apache-2.0
# Read by ctest, which knows the lists of discovered tests (CMake fills in the program): Faultline is installed when nothing
# needs the bare cluster any more, and its second controller comes when nothing needs it to be alone.
add_test(cluster.installed "@CMAKE_RUNTIME_OUTPUT_DIRECTORY@/cluster" --gtest_filter=Install.Default)
add_test(cluster.installed_ha "@CMAKE_RUNTIME_OUTPUT_DIRECTORY@/cluster" --gtest_filter=Install.TwoControllersAndNoPrivilegesOverIt)
add_test(cluster.uninstalled "@CMAKE_RUNTIME_OUTPUT_DIRECTORY@/cluster" --gtest_filter=Install.GoesWithoutATrace)
set_tests_properties(cluster.installed cluster.installed_ha cluster.uninstalled PROPERTIES LABELS cluster TIMEOUT 300 RESOURCE_LOCK cluster)
set_tests_properties(cluster.installed PROPERTIES FIXTURES_SETUP faultline FIXTURES_REQUIRED cluster DEPENDS "cluster.crd;${cluster_alone}")
set_tests_properties(cluster.installed_ha PROPERTIES FIXTURES_SETUP faultline_ha FIXTURES_REQUIRED faultline DEPENDS "${cluster_default}")
set_tests_properties(cluster.uninstalled PROPERTIES FIXTURES_CLEANUP "faultline;faultline_ha" FIXTURES_REQUIRED cluster)
