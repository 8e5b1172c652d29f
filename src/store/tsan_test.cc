// RocksDB's archive is not built for the thread sanitizer, which takes its locks for missing. Our own code
// above it is checked; what it shares with RocksDB is not.
#if defined(__SANITIZE_THREAD__)
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "race:rocksdb::\n";
}
#endif
