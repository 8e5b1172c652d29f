// How memory is taken and given back, where the program is linked with jemalloc (docs/decisions/allocator.md).

// Read by jemalloc before main. Two arenas, for two cores' worth of threads; what is freed goes back to the system within seconds, by a thread
// of jemalloc's that sleeps as long as nothing is freed.
extern "C" {
extern const char* malloc_conf;
__attribute__((used)) const char* malloc_conf = "narenas:2,background_thread:true,max_background_threads:1,dirty_decay_ms:2000,muzzy_decay_ms:0";
}
