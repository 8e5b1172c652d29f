// Bytes that are shared and do not change: a piece of a string that several owners may hold.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace km::async {

class Buffer {
 public:
  Buffer() = default;
  Buffer(std::string bytes)  // NOLINT: implicit by intent
      : data_(std::make_shared<const std::string>(std::move(bytes))), size_(data_->size()) {}
  Buffer(const char* text) : Buffer(std::string(text)) {}  // NOLINT: implicit by intent
  Buffer(std::shared_ptr<const std::string> data)          // NOLINT: implicit by intent
      : data_(std::move(data)), size_(data_ ? data_->size() : 0) {}
  Buffer(std::shared_ptr<const std::string> data, size_t offset, size_t size)
      : data_(std::move(data)), offset_(offset), size_(size) {}

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const char* data() const { return data_ ? data_->data() + offset_ : ""; }
  std::string_view view() const { return {data(), size_}; }
  Buffer slice(size_t offset, size_t size) const { return {data_, offset_ + offset, size}; }
  void removePrefix(size_t n) {
    offset_ += n;
    size_ -= n;
  }

 private:
  std::shared_ptr<const std::string> data_;
  size_t offset_ = 0;
  size_t size_ = 0;
};

}  // namespace km::async
