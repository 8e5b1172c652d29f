#include <fcntl.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/table_properties_collectors.h>
#include <rocksdb/write_batch.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "store/directories.h"
#include "store/rows.h"

namespace km::store {
namespace {

namespace rdb = rocksdb;

// RocksDB's own log goes nowhere: what matters comes back as a status.
class NoLog final : public rdb::Logger {
 public:
  NoLog() : rdb::Logger(rdb::InfoLogLevel::FATAL_LEVEL) {}
  using rdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

rdb::Slice slice(std::string_view bytes) {
  return {bytes.data(), bytes.size()};
}
std::string_view view(const rdb::Slice& bytes) {
  return {bytes.data(), bytes.size()};
}

// Small on purpose: the API server's cache answers reads, so the engine needs memory only to write. Rows are
// written in the order of their keys, so files of one level never overlap and compaction mostly moves them
// without rewriting.
rdb::Options tuned() {
  rdb::Options o;
  o.create_if_missing = true;
  o.info_log = std::make_shared<NoLog>();
  o.stats_dump_period_sec = 0;
  o.stats_persist_period_sec = 0;
  o.max_open_files = 64;
  o.max_file_opening_threads = 1;
  o.max_background_jobs = 2;
  o.write_buffer_size = 4 << 20;
  o.arena_block_size = 256 << 10;
  o.max_write_buffer_number = 3;
  o.max_total_wal_size = 32 << 20;
  o.target_file_size_base = 8 << 20;
  o.max_bytes_for_level_base = 32 << 20;
  o.compression = rdb::kLZ4Compression;
  o.allow_concurrent_memtable_write = false;  // one writer
  o.enable_pipelined_write = false;
  o.max_manifest_file_size = 1 << 20;
  // Refuse damage rather than work around it. Only a record that was cut short at the very end of the log is
  // taken as a write that never finished: its writer was never told of success.
  o.paranoid_checks = true;
  o.wal_recovery_mode = rdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  o.recycle_log_file_num = 0;
  o.use_fsync = false;
  // Files in which most rows were removed are compacted, so that space comes back after compact().
  o.table_properties_collector_factories = {rdb::NewCompactOnDeletionCollectorFactory(4096, 2048)};

  rdb::BlockBasedTableOptions table;
  table.block_cache = rdb::NewLRUCache(2 << 20, 0);
  table.block_size = 8 << 10;
  table.cache_index_and_filter_blocks = true;
  table.format_version = 5;
  table.checksum = rdb::kXXH3;
  o.table_factory.reset(rdb::NewBlockBasedTableFactory(table));
  return o;
}

class RocksRows final : public RowStore {
 public:
  RocksRows(std::string directory, std::unique_ptr<rdb::DB> db)
      : directory_(std::move(directory)), db_(std::move(db)) {}

  ~RocksRows() override {
    // An empty log makes the next start quicker, and leaves no tail in which a cut could be mistaken for a
    // torn write.
    (void)db_->Flush(rdb::FlushOptions());
    (void)db_->Close();
  }

  Status write(const std::vector<Mutation>& batch, bool sync) override {
    batch_.Clear();
    for (const Mutation& m : batch) {
      rdb::Status s = m.value ? batch_.Put(m.key, *m.value) : batch_.Delete(m.key);
      if (!s.ok()) return failedWrite(s);
    }
    rdb::WriteOptions options;
    options.sync = sync;
    rdb::Status s = db_->Write(options, &batch_);
    if (batch_.GetDataSize() > (1u << 20))
      batch_ = rdb::WriteBatch();  // give back what a rare big batch took
    return s.ok() ? Status() : failedWrite(s);
  }

  Result<std::optional<std::string>> read(std::string_view key) override {
    std::string value;
    rdb::Status s = db_->Get(rdb::ReadOptions(), slice(key), &value);
    if (s.IsNotFound()) return std::optional<std::string>();
    if (!s.ok()) return failedRead(s);
    return std::optional<std::string>(std::move(value));
  }

  Status scan(std::string_view start, std::string_view end, const Visit& visit) override {
    rdb::ReadOptions options;
    options.verify_checksums = true;
    options.fill_cache = false;
    options.readahead_size = 512 << 10;
    rdb::Slice bound = slice(end);
    if (!end.empty()) options.iterate_upper_bound = &bound;
    std::unique_ptr<rdb::Iterator> it(db_->NewIterator(options));
    for (it->Seek(slice(start)); it->Valid(); it->Next()) KM_TRY(visit(view(it->key()), view(it->value())));
    return it->status().ok() ? Status() : failedRead(it->status());
  }

  int64_t bytesOnDisk() override {
    int64_t sum = 0;
    std::error_code ignored;
    for (std::filesystem::directory_iterator it(directory_, ignored), end; it != end; it.increment(ignored)) {
      auto size = it->file_size(ignored);
      if (!ignored) sum += static_cast<int64_t>(size);
    }
    return sum;
  }

  Status damaged(std::string_view what) override;

 private:
  Status failedWrite(const rdb::Status& s) {
    return errors::serviceUnavailable("the store cannot write to " + directory_ + ": " + s.ToString() +
                                      "; make space or repair the disk, then start km again");
  }
  Status failedRead(const rdb::Status& s) { return damaged(s.ToString()); }

  const std::string directory_;
  std::unique_ptr<rdb::DB> db_;
  rdb::WriteBatch batch_;
};

Status damagedIn(const std::string& directory, std::string_view what) {
  return errors::failed(
      "the data in " + directory + " is damaged: " + std::string(what) +
      ". It was left as it is. Stop km, move the directory away, and restore the last backup: "
      "km restore --data-dir DIR BACKUP");
}

Status RocksRows::damaged(std::string_view what) {
  return damagedIn(directory_, what);
}

// Who holds the lock file of the directory; 0 if unknown. RocksDB locks with fcntl, so the kernel knows. Must
// not be asked when this process is the holder: closing the file would drop its lock.
int lockHolder(const std::string& directory) {
  int fd = ::open((directory + "/LOCK").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  struct flock query = {};
  query.l_type = F_WRLCK;
  query.l_whence = SEEK_SET;
  int pid = ::fcntl(fd, F_GETLK, &query) == 0 && query.l_type != F_UNLCK ? query.l_pid : 0;
  ::close(fd);
  return pid;
}

Status failedOpen(const std::string& directory, const rdb::Status& s) {
  std::string text = s.ToString();
  bool here = text.find("lock hold by current process") != std::string::npos;
  if (here || text.find("While lock file") != std::string::npos) {
    int pid = here ? ::getpid() : lockHolder(directory);
    std::string who = pid > 0 ? " (pid " + std::to_string(pid) + ")" : "";
    return errors::failed("data directory " + directory + " is in use by another km" + who);
  }
  if (s.IsNoSpace()) return errors::failed("no space left for data directory " + directory + ": " + text);
  // A file that the manifest names and that is not there counts as damage, as do all failed checks.
  if (s.IsCorruption() || s.IsInvalidArgument() || s.IsNotFound() || s.IsPathNotFound())
    return damagedIn(directory, text);
  return errors::failed("cannot open data directory " + directory + ": " + text);
}

// RocksDB makes an absent CURRENT anew, with an empty store. Where data files lie, that would hide them.
Status checkNotHeadless(const std::string& directory) {
  std::error_code ignored;
  if (std::filesystem::exists(directory + "/CURRENT", ignored)) return {};
  for (std::filesystem::directory_iterator it(directory, ignored), end; it != end; it.increment(ignored)) {
    std::string extension = it->path().extension();
    bool bytes = extension == ".log" && it->file_size(ignored) > 0;
    if (extension == ".sst" || bytes) return damagedIn(directory, "the file CURRENT is missing");
  }
  return {};
}

Status prepareDirectory(const std::string& directory) {
  Status made = makeDirectories(directory);
  if (!made.ok()) return errors::failed("cannot use data directory " + directory + ": " + made.message());
  if (::access(directory.c_str(), R_OK | W_OK | X_OK) != 0) {
    return errors::fromErrno("cannot write to data directory " + directory, errno);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<RowStore>> openRocksRows(const std::string& directory) {
  KM_TRY(prepareDirectory(directory));
  KM_TRY(checkNotHeadless(directory));
  rdb::DB* db = nullptr;
  rdb::Status s = rdb::DB::Open(tuned(), directory, &db);
  if (!s.ok()) return failedOpen(directory, s);
  return std::unique_ptr<RowStore>(std::make_unique<RocksRows>(directory, std::unique_ptr<rdb::DB>(db)));
}

}  // namespace km::store
