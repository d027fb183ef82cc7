# SPDX-License-Identifier: Apache-2.0
# Read by ctest, which knows the lists of discovered tests: Faultline is installed when nothing needs the bare cluster any
# more, and its second controller comes when nothing needs it to be alone.
set_tests_properties(cluster.installed PROPERTIES DEPENDS "cluster.crd;${cluster_alone}")
set_tests_properties(cluster.installed_ha PROPERTIES DEPENDS "${cluster_default}")
