target_link_libraries(km_pki PUBLIC OpenSSL::Crypto)
