target_link_libraries(km_cri PUBLIC archive OpenSSL::Crypto)
