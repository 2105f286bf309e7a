#!/bin/sh
# Makes what a trail has before its first log: buckets, a queue, the notification.
set -eu
# Version 1 of the client does not find SQS's endpoint in the environment.
aws s3 mb s3://acme-trail
aws s3 mb s3://acme-lake
aws --endpoint-url "$AWS_ENDPOINT_URL" sqs create-queue --queue-name trail-dead
aws --endpoint-url "$AWS_ENDPOINT_URL" sqs create-queue --queue-name trail --attributes \
  '{"RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:111122223333:trail-dead\",\"maxReceiveCount\":\"20\"}"}'
aws s3api put-bucket-notification-configuration --bucket acme-trail --notification-configuration \
  '{"QueueConfigurations":[{"QueueArn":"arn:aws:sqs:us-east-1:111122223333:trail","Events":["s3:ObjectCreated:*","s3:ObjectRemoved:*"]}]}'
