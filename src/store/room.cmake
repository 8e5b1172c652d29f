# RocksDB is linked statically: its shared library would drag in every part of it. The archive was built with
# all these compressors; only lz4 is used.
find_library(KM_ROCKSDB librocksdb.a REQUIRED)
find_package(ZLIB REQUIRED)
target_link_libraries(km_store PRIVATE ${KM_ROCKSDB} snappy lz4 zstd bz2 ZLIB::ZLIB OpenSSL::Crypto
                      ${CMAKE_DL_LIBS})
