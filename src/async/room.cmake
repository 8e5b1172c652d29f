target_link_libraries(km_async PUBLIC OpenSSL::SSL OpenSSL::Crypto)
