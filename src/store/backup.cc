#include "store/backup.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "store/directories.h"
#include "store/embedded.h"
#include "store/mvcc.h"
#include "store/row_format.h"

namespace km::store {
namespace {

constexpr std::string_view kMagic = "km store backup 1\n";
constexpr size_t kSumSize = 32;
constexpr size_t kMaxRowSize = 1u << 30;
constexpr size_t kRestoreBatchBytes = 1 << 20;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

class Sum {
 public:
  Sum() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_, EVP_sha256(), nullptr); }
  ~Sum() { EVP_MD_CTX_free(context_); }
  Sum(const Sum&) = delete;
  Sum& operator=(const Sum&) = delete;

  void add(std::string_view bytes) { EVP_DigestUpdate(context_, bytes.data(), bytes.size()); }
  std::string finish() {
    std::string sum(kSumSize, '\0');
    EVP_DigestFinal_ex(context_, reinterpret_cast<unsigned char*>(sum.data()), nullptr);
    return sum;
  }

 private:
  EVP_MD_CTX* context_;
};

class Writer {
 public:
  explicit Writer(std::FILE* file) : file_(file) {}
  bool write(std::string_view bytes) {
    sum_.add(bytes);
    return raw(bytes);
  }
  bool row(std::string_view key, std::string_view value) {
    return write(encodeNumber(static_cast<int64_t>(key.size()))) &&
           write(encodeNumber(static_cast<int64_t>(value.size()))) && write(key) && write(value);
  }
  bool finish() {
    return write(encodeNumber(0)) && raw(sum_.finish()) && std::fflush(file_) == 0 &&
           ::fsync(::fileno(file_)) == 0;
  }

 private:
  bool raw(std::string_view bytes) {
    return std::fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size();
  }
  std::FILE* file_;
  Sum sum_;
};

class Reader {
 public:
  explicit Reader(std::FILE* file) : file_(file) {}
  bool read(std::string& bytes, size_t size) {
    bytes.clear();
    // In pieces: a damaged size must not take a gigabyte before the end of the file is found.
    while (bytes.size() < size) {
      size_t at = bytes.size();
      bytes.resize(std::min(size, at + (64u << 10)));
      if (std::fread(bytes.data() + at, 1, bytes.size() - at, file_) != bytes.size() - at) return false;
    }
    sum_.add(bytes);
    return true;
  }
  bool size(size_t& size) {
    std::string bytes;
    int64_t number = 0;
    if (!read(bytes, 8) || !decodeNumber(bytes, number) || number < 0) return false;
    size = static_cast<size_t>(number);
    return size <= kMaxRowSize;
  }
  bool end() {
    std::string expected = sum_.finish(), found;
    return read(found, kSumSize) && found == expected && std::fgetc(file_) == EOF;
  }

 private:
  std::FILE* file_;
  Sum sum_;
};

Status damagedBackup(const std::string& path) {
  return errors::failed("the backup " + path + " is damaged or not complete; use another one");
}

Status readRows(const std::string& path, const RowStore::Visit& visit) {
  File file(std::fopen(path.c_str(), "rbe"));
  if (!file) return errors::fromErrno("cannot read the backup " + path, errno);
  Reader reader(file.get());
  std::string key, value;
  if (!reader.read(key, kMagic.size()) || key != kMagic)
    return errors::failed(path + " is not a backup of a km store");
  for (;;) {
    size_t keySize = 0, valueSize = 0;
    if (!reader.size(keySize)) return damagedBackup(path);
    if (keySize == 0) return reader.end() ? Status() : damagedBackup(path);
    if (!reader.size(valueSize) || !reader.read(key, keySize) || !reader.read(value, valueSize)) {
      return damagedBackup(path);
    }
    KM_TRY(visit(key, value));
  }
}

}  // namespace

Status writeBackup(RowStore& rows, const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored))
    return errors::failed("cannot write the backup: " + path + " exists");
  std::string part = path + ".part";
  int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return errors::fromErrno("cannot write the backup " + part, errno);
  File file(::fdopen(fd, "wb"));
  Writer writer(file.get());
  bool good = writer.write(kMagic);
  Status s = rows.scan("", "", [&](std::string_view key, std::string_view value) -> Status {
    return writer.row(key, value) ? Status() : errors::fromErrno("cannot write the backup " + part, errno);
  });
  good = good && s.ok() && writer.finish();
  if (!good && s.ok()) s = errors::fromErrno("cannot write the backup " + part, errno);
  file.reset();
  if (s.ok() && ::rename(part.c_str(), path.c_str()) != 0)
    s = errors::fromErrno("cannot name the backup " + path, errno);
  if (s.ok()) s = syncDirectory(parentOf(path));
  if (!s.ok()) (void)::unlink(part.c_str());
  return s;
}

Status checkBackup(const std::string& path) {
  return readRows(path, [](std::string_view, std::string_view) { return Status(); });
}

Status readBackup(const std::string& path, RowStore& rows) {
  std::vector<Mutation> batch;
  size_t bytes = 0;
  KM_TRY(readRows(path, [&](std::string_view key, std::string_view value) -> Status {
    batch.push_back({std::string(key), std::string(value)});
    bytes += key.size() + value.size();
    if (bytes < kRestoreBatchBytes) return {};
    Status s = rows.write(batch, false);
    batch.clear();
    bytes = 0;
    return s;
  }));
  return rows.write(batch, true);
}

Status restoreEmbedded(const std::string& backupFile, const std::string& directory) {
  KM_TRY(checkBackup(backupFile));
  std::error_code failure;
  if (std::filesystem::exists(directory, failure) && !std::filesystem::is_empty(directory, failure)) {
    return errors::failed("cannot restore into " + directory + ": it is not empty; move it away first");
  }
  // Built beside and renamed when complete: an interrupted restore leaves nothing that would be taken for a
  // store.
  std::string building = std::filesystem::path(directory + "/").parent_path().string() + ".restoring";
  KM_TRY(makeDirectories(parentOf(directory)));
  std::filesystem::remove_all(building, failure);
  if (failure) return errors::fromErrno("cannot remove " + building, failure.value());
  {
    KM_ASSIGN(std::unique_ptr<RowStore> rows, openRocksRows(building));
    KM_TRY(readBackup(backupFile, *rows));
  }
  {
    // Opening checks what the file's sum cannot: that the rows make a store.
    KM_ASSIGN(std::unique_ptr<RowStore> rows, openRocksRows(building));
    KM_TRY(MvccStore::check(std::move(rows)));
  }
  (void)::rmdir(directory.c_str());
  if (::rename(building.c_str(), directory.c_str()) != 0) {
    return errors::fromErrno("cannot move the restored store to " + directory, errno);
  }
  return syncDirectory(parentOf(directory));
}

}  // namespace km::store
