# YAML of kubeconfig files.
target_link_libraries(km_client PRIVATE yaml)
