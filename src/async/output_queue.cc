#include "async/output_queue.h"

#include <string.h>

#include <algorithm>

namespace km::async {

namespace {
constexpr size_t kCopyBelow = 4096;
// Capacity is lent to the queues that are in use: an idle connection holds none.
thread_local std::string spare;
}  // namespace

void OutputQueue::append(std::string_view bytes) {
  if (tail_.empty() && tail_.capacity() < 64) tail_.swap(spare);
  tail_.append(bytes);
  size_ += bytes.size();
}

void OutputQueue::append(Buffer bytes) {
  if (bytes.size() < kCopyBelow) return append(bytes.view());
  sealTail();
  size_ += bytes.size();
  chunks_.push_back(std::move(bytes));
}

void OutputQueue::sealTail() {
  if (tail_.size() > tailOffset_) {
    size_t size = tail_.size() - tailOffset_;
    chunks_.emplace_back(std::make_shared<const std::string>(std::move(tail_)), tailOffset_, size);
  }
  tail_ = std::string();
  tailOffset_ = 0;
}

void OutputQueue::consume(size_t n) {
  size_ -= n;
  while (n > 0 && head_ < chunks_.size()) {
    size_t take = std::min(n, chunks_[head_].size());
    chunks_[head_].removePrefix(take);
    n -= take;
    if (chunks_[head_].empty()) chunks_[head_++] = Buffer();
  }
  if (head_ == chunks_.size()) {
    chunks_.clear();
    head_ = 0;
  } else if (head_ > 64 && head_ * 2 > chunks_.size()) {
    chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<long>(head_));
    head_ = 0;
  }
  tailOffset_ += n;
  if (size_ == 0) clear();
}

void OutputQueue::clear() {
  chunks_ = {};
  head_ = 0;
  size_ = 0;
  tailOffset_ = 0;
  if (tail_.capacity() > spare.capacity() && tail_.capacity() <= (1 << 20)) spare.swap(tail_);
  spare.clear();
  tail_ = std::string();
}

std::string_view OutputQueue::front() const {
  if (head_ < chunks_.size()) return chunks_[head_].view();
  return std::string_view(tail_).substr(tailOffset_);
}

size_t OutputQueue::gather(char* out, size_t limit) const {
  size_t done = 0;
  pieces([&](std::string_view piece) {
    size_t take = std::min(limit - done, piece.size());
    memcpy(out + done, piece.data(), take);
    done += take;
    return done < limit;
  });
  return done;
}

}  // namespace km::async
